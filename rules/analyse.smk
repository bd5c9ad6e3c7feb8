"""
Look at neurons beside the scores: how much models use each of them, how that changes, which of them masks share.
NEEDS  results/{name}/model/{model}/  results/{name}/tune/…/chosen/delta.safetensors  results/{name}/data/{sample}/{split}.jsonl
       results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.safetensors
MAKES  results/{name}/rank/{model}/{dataset}/{method}/seed{seed}/{sample}.safetensors
       results/{name}/tables/{ranks,categories,overlap}_….{csv,json,md,tex,html}
"""

from neft.workflow.plan.analyse import AnalysePlan

ANALYSE = AnalysePlan(CONFIG)


wildcard_constraints:
    ranks=one_of(CONFIG.analyses.ranks),
    overlap=one_of(CONFIG.analyses.overlaps),


rule rank_neurons:
    """How much one model uses each of its neurons: the highest Pearson correlation with the hidden states of a sample."""
    input:
        unpack(ANALYSE.rank_neurons_inputs),
    output:
        ranking="results/{name}/rank/{model}/{dataset}/{method}/seed{seed}/{sample}.safetensors",
    log:
        "results/{name}/rank/{model}/{dataset}/{method}/seed{seed}/{sample}.log",
    benchmark:
        "results/{name}/rank/{model}/{dataset}/{method}/seed{seed}/{sample}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        # A resource, not a param: changing it must rerun nothing.
        block_mib=CONFIG.analyses.utilization.memory,
        mem_mb=NEEDS.rank_mb,
        runtime=NEEDS.rank_minutes,
    params:
        spec=ANALYSE.rank_neurons,
        code=ANALYSE.rank_neurons_code,
        delta=lambda w, input: options(input, "delta"),
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/analyse/rank_neurons.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --rows {input.rows:q} \
            --memory {resources.block_mib:q} \
            --threads {threads} \
            --ranking {output.ranking:q} \
            {params.delta:q} |& tee {log:q}
        """


rule compare_ranks:
    """Mean rank difference between pairs of models, by percentile and over all neurons."""
    input:
        unpack(ANALYSE.compare_ranks_inputs),
    output:
        json="results/{name}/tables/ranks_{ranks}.json",
        csv="results/{name}/tables/ranks_{ranks}.csv",
    log:
        "results/{name}/tables/ranks_{ranks}.log",
    benchmark:
        "results/{name}/tables/ranks_{ranks}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=ANALYSE.compare_ranks,
        code=code("compare_ranks"),
    shell:
        r"""
        PYTHONPATH=. python scripts/analyse/compare_ranks.py \
            --spec {params.spec:q} \
            --first {input.first:q} \
            --second {input.second:q} \
            --json {output.json:q} \
            --csv {output.csv:q} |& tee {log:q}
        """


rule count_categories:
    """Neurons that are strongly affected, suppressed and indirectly affected, between pairs of models."""
    input:
        unpack(ANALYSE.compare_ranks_inputs),
    output:
        json="results/{name}/tables/categories_{ranks}.json",
        csv="results/{name}/tables/categories_{ranks}.csv",
    log:
        "results/{name}/tables/categories_{ranks}.log",
    benchmark:
        "results/{name}/tables/categories_{ranks}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=ANALYSE.count_categories,
        code=code("count_categories"),
    shell:
        r"""
        PYTHONPATH=. python scripts/analyse/count_categories.py \
            --spec {params.spec:q} \
            --first {input.first:q} \
            --second {input.second:q} \
            --json {output.json:q} \
            --csv {output.csv:q} |& tee {log:q}
        """


rule overlap_masks:
    """Neurons that pairs of masks share, beside chance."""
    input:
        unpack(ANALYSE.overlap_masks_inputs),
    output:
        csv="results/{name}/tables/overlap_{overlap}.csv",
        markdown="results/{name}/tables/overlap_{overlap}.md",
        latex="results/{name}/tables/overlap_{overlap}.tex",
        html=report(
            "results/{name}/tables/overlap_{overlap}.html",
            caption="../report/overlap.rst",
            category="Neurons",
            labels={"what": "Overlap of masks", "analysis": "{overlap}"},
        ),
    log:
        "results/{name}/tables/overlap_{overlap}.log",
    benchmark:
        "results/{name}/tables/overlap_{overlap}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=ANALYSE.overlap_masks,
        code=code("overlap_masks"),
        references=lambda w, input: options(input, "references"),
    shell:
        r"""
        PYTHONPATH=. python scripts/analyse/overlap_masks.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --first {input.first:q} \
            --second {input.second:q} \
            --csv {output.csv:q} \
            --markdown {output.markdown:q} \
            --latex {output.latex:q} \
            --html {output.html:q} \
            {params.references:q} |& tee {log:q}
        """
