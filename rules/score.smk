"""
Score the outputs, alone and against the baseline method.
NEEDS  results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl
MAKES  results/{name}/score/…/{test}/{metric}.json  results/{name}/compare/…/{test}/{metric}.json
"""


rule score_outputs:
    """One metric on one set of outputs, with its interval and signature."""
    input:
        outputs="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
    output:
        score="results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.json",
    log:
        "results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.log",
    benchmark:
        "results/{name}/score/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=30,
    params:
        spec=PLAN.score_outputs,
        code=PLAN.score_outputs_code,
    shell:
        r"""
        python scripts/score_outputs.py \
            --spec {params.spec:q} \
            --outputs {input.outputs:q} \
            --score {output.score:q} |& tee {log:q}
        """


rule compare_outputs:
    """A paired test of one set of outputs against the baseline's."""
    input:
        outputs="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
        baseline=lambda w: str(paths(R, PLAN.baseline(w)).outputs),
    output:
        comparison="results/{name}/compare/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.json",
    log:
        "results/{name}/compare/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.log",
    benchmark:
        "results/{name}/compare/{model}/{dataset}/{method}/seed{seed}/{test}/{metric}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=30,
    params:
        spec=PLAN.compare_outputs,
        code=PLAN.compare_outputs_code,
    shell:
        r"""
        python scripts/compare_outputs.py \
            --spec {params.spec:q} \
            --outputs {input.outputs:q} \
            --baseline {input.baseline:q} \
            --comparison {output.comparison:q} |& tee {log:q}
        """
