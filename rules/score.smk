"""
Score the outputs, and compare methods over their seeds.
NEEDS  results/{name}/{generate,losses}/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl
MAKES  results/{name}/score/…/{test}/{metric}.json  results/{name}/compare/{model}/{dataset}/{test}/{metric}.json
       results/{name}/comet/…/{test}/{metric}.json  .venv-comet/
"""

from snakemake.settings.types import DeploymentMethod

from neft.workflow.plan.score import ScorePlan

# With `--sdm conda` every rule has its environment; without it COMET's is built by a rule.
SCORE = ScorePlan(
    RUNS, conda=DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
)


localrules:
    install_comet,


rule install_comet:
    """COMET's own Python environment, shared by all experiments; not needed with `--sdm conda`."""
    input:
        pins="envs/comet.txt",
    output:
        ready=".venv-comet/ready",
    log:
        ".venv-comet/install.log",
    benchmark:
        ".venv-comet/install.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=60,
    params:
        spec=spec(python="3.11"),
        code=code("install_comet"),
    shell:
        r"""
        PYTHONPATH=. python scripts/score/install_comet.py \
            --spec {params.spec:q} \
            --pins {input.pins:q} \
            --environment .venv-comet \
            --ready {output.ready:q} |& tee {log:q}
        """


rule predict_comet:
    """The scores of single segments by a COMET model, in COMET's environment."""
    input:
        unpack(SCORE.predict_comet_inputs),
        outputs="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
        pins="envs/comet.txt",
    output:
        segments="results/{name}/comet/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.json",
    log:
        "results/{name}/comet/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.log",
    benchmark:
        "results/{name}/comet/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.benchmark.tsv"
    conda:
        "../envs/comet.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=grown(6000),
        runtime=grown(120),
    params:
        spec=SCORE.predict_comet,
        code=code("predict_comet"),
        checkpoint=lambda w, input: input.get(
            "checkpoint", f"{input.get('model')}/checkpoints/model.ckpt"
        ),
    shell:
        r"""
        PATH="$PWD/.venv-comet/venv/bin:$PATH"
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/score/predict_comet.py \
            --spec {params.spec:q} \
            --outputs {input.outputs:q} \
            --checkpoint {params.checkpoint:q} \
            --encoder {input.encoder:q} \
            --threads {threads} \
            --segments {output.segments:q} |& tee {log:q}
        """


rule score_outputs:
    """One metric on one set of outputs or losses, with its interval and signature."""
    input:
        unpack(SCORE.score_outputs_inputs),
    output:
        score="results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.json",
    log:
        "results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.log",
    benchmark:
        "results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    params:
        spec=SCORE.score_outputs,
        code=SCORE.score_outputs_code,
        segments=lambda w, input: options(input, "segments"),
    shell:
        r"""
        PYTHONPATH=. python scripts/score/score_outputs.py \
            --spec {params.spec:q} \
            --outputs {input.outputs:q} \
            --score {output.score:q} \
            {params.segments:q} |& tee {log:q}
        """


rule compare_methods:
    """How much methods differ over seeds and rows, and the runs of each seed."""
    input:
        unpack(SCORE.compare_methods_inputs),
    output:
        comparisons="results/{name}/compare/{model}/{dataset}/{test}/{metric}.json",
    log:
        "results/{name}/compare/{model}/{dataset}/{test}/{metric}.log",
    benchmark:
        "results/{name}/compare/{model}/{dataset}/{test}/{metric}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        mem_mb=grown(1000),
        runtime=grown(60),
    params:
        spec=SCORE.compare_methods,
        code=SCORE.compare_methods_code,
        segments=lambda w, input: options(input, "segments"),
    shell:
        r"""
        PYTHONPATH=. python scripts/score/compare_methods.py \
            --spec {params.spec:q} \
            --outputs {input.outputs:q} \
            --comparisons {output.comparisons:q} \
            {params.segments:q} |& tee {log:q}
        """
