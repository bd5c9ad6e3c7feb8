"""
Let every tuned model, and the untuned one, answer the test sets.
NEEDS  results/{name}/model/{model}/  results/{name}/tune/…/chosen/delta.safetensors  results/{name}/data/{test}/test.jsonl
MAKES  results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl
       results/{name}/losses/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl
"""

from neft.workflow.plan.generate import GeneratePlan

GENERATE = GeneratePlan(CONFIG)


rule generate_outputs:
    """Generate the answer to every row of a test set, greedily."""
    input:
        unpack(GENERATE.generate_outputs_inputs),
        rows="results/{name}/data/{test}/test.jsonl",
    output:
        outputs="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
        stats="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.json",
    log:
        "results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.log",
    benchmark:
        "results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.benchmark.tsv"
    wildcard_constraints:
        test=one_of([name for name in CONFIG.datasets if name not in GENERATE.benchmarks]),
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        # A resource, not a param: changing it must rerun nothing.
        batch_size=CONFIG.generation.batch_size,
        mem_mb=NEEDS.generate_mb,
        runtime=NEEDS.generate_minutes,
    params:
        spec=GENERATE.generate_outputs,
        code=GENERATE.generate_outputs_code,
        delta=lambda w, input: options(input, "delta"),
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/generate/generate_outputs.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --test {input.rows:q} \
            --batch-size {resources.batch_size} \
            --threads {threads} \
            --parts {output.outputs:q}.parts \
            --outputs {output.outputs:q} \
            --stats {output.stats:q} \
            {params.delta:q} |& tee {log:q}
        """


rule measure_losses:
    """The loss of the right answer to every row of a test set; for metrics that need nothing generated."""
    input:
        unpack(GENERATE.generate_outputs_inputs),
        rows="results/{name}/data/{test}/test.jsonl",
    output:
        losses="results/{name}/losses/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
    log:
        "results/{name}/losses/{model}/{dataset}/{method}/seed{seed}/{test}.log",
    benchmark:
        "results/{name}/losses/{model}/{dataset}/{method}/seed{seed}/{test}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        batch_size=CONFIG.generation.batch_size,
        mem_mb=NEEDS.generate_mb,
        runtime=NEEDS.generate_minutes,
    params:
        spec=GENERATE.measure_losses,
        code=GENERATE.measure_losses_code,
        delta=lambda w, input: options(input, "delta"),
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/generate/measure_losses.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --test {input.rows:q} \
            --batch-size {resources.batch_size} \
            --threads {threads} \
            --parts {output.losses:q}.parts \
            --losses {output.losses:q} \
            {params.delta:q} |& tee {log:q}
        """


rule run_benchmark:
    """Let lm-eval ask and score a benchmark; the outputs lie where generate_outputs puts those of other test sets."""
    input:
        unpack(GENERATE.run_benchmark_inputs),
        rows="results/{name}/data/{test}/test.jsonl",
    output:
        outputs="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.jsonl",
        stats="results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.json",
    log:
        "results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.log",
    benchmark:
        "results/{name}/generate/{model}/{dataset}/{method}/seed{seed}/{test}.benchmark.tsv"
    wildcard_constraints:
        test=one_of(GENERATE.benchmarks),
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        batch_size=CONFIG.generation.batch_size,
        mem_mb=4000,
        runtime=480,
    params:
        spec=GENERATE.run_benchmark,
        code=GENERATE.run_benchmark_code,
        more=lambda w, input: options(input, "delta", "examples", "punkt"),
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/generate/run_benchmark.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --test {input.rows:q} \
            --batch-size {resources.batch_size} \
            --threads {threads} \
            --parts {output.outputs:q}.parts \
            --outputs {output.outputs:q} \
            --stats {output.stats:q} \
            {params.more:q} |& tee {log:q}
        """
