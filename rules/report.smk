"""
Turn results into tables, figures and pages, and record what made them. `snakemake --report` binds them into one HTML file.
NEEDS  results/{name}/{score,compare,generate,tune,mask,similarity}/…
MAKES  results/{name}/{tables,figures,samples}/…  results/{name}/config.html  results/{name}/provenance.json
"""


rule make_table:
    """One row a dataset, test set and method: what it trains, how it scores, what it costs."""
    input:
        run_files("scores", "comparisons", "metrics"),
    output:
        csv="results/{name}/tables/main.csv",
        markdown="results/{name}/tables/main.md",
        latex="results/{name}/tables/main.tex",
        html=report(
            "results/{name}/tables/main.html", caption="../report/table.rst", category="Results", labels={"what": "1 Table"}
        ),
    log:
        "results/{name}/tables/main.log",
    benchmark:
        "results/{name}/tables/main.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(title="Results", **PLAN.shown()),
        code=code("make_table"),
    shell:
        r"""
        python scripts/make_table.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --csv {output.csv:q} \
            --markdown {output.markdown:q} \
            --latex {output.latex:q} \
            --html {output.html:q} |& tee {log:q}
        """


rule plot_scores:
    """Scores of all methods with their intervals."""
    input:
        run_files("scores", "comparisons", "metrics"),
    output:
        png=report(
            "results/{name}/figures/scores.png",
            caption="../report/scores.rst",
            category="Results",
            labels={"what": "2 Scores"},
        ),
        pdf="results/{name}/figures/scores.pdf",
    log:
        "results/{name}/figures/scores.log",
    benchmark:
        "results/{name}/figures/scores.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(**PLAN.shown()),
        code=code("plot_scores"),
    shell:
        r"""
        python scripts/plot_scores.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_losses:
    """Training and dev loss of all methods, by step and by time."""
    input:
        run_files("history"),
    output:
        png=report(
            "results/{name}/figures/losses.png",
            caption="../report/losses.rst",
            category="Training",
            labels={"what": "Loss curves"},
        ),
        pdf="results/{name}/figures/losses.pdf",
    log:
        "results/{name}/figures/losses.log",
    benchmark:
        "results/{name}/figures/losses.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(runs=PLAN.shown()["runs"]),
        code=code("plot_losses"),
    shell:
        r"""
        python scripts/plot_losses.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_neurons:
    """Which share of each projection in each layer the masks select."""
    input:
        masks=lambda w: mask_files(w),
    output:
        png=report(
            "results/{name}/figures/neurons_{model}_{dataset}.png",
            caption="../report/neurons.rst",
            category="Neurons",
            labels={"what": "Neuron map", "model": "{model}", "dataset": "{dataset}"},
        ),
        pdf="results/{name}/figures/neurons_{model}_{dataset}.pdf",
    log:
        "results/{name}/figures/neurons_{model}_{dataset}.log",
    benchmark:
        "results/{name}/figures/neurons_{model}_{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(masks=list(mask_uses.shown(CONFIG, w.model, w.dataset))),
        code=code("plot_neurons"),
    shell:
        r"""
        python scripts/plot_neurons.py \
            --spec {params.spec:q} \
            --masks {input.masks:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_similarity:
    """How far neurons turned in the probe, and where the masks cut."""
    input:
        distances=lambda w: f"{R}/similarity/{w.model}/{w.dataset}/seed{CONFIG.seeds[0]}.safetensors",
        masks=lambda w: mask_files(w, "distances"),
    output:
        png=report(
            "results/{name}/figures/similarity_{model}_{dataset}.png",
            caption="../report/similarity.rst",
            category="Neurons",
            labels={"what": "Similarity", "model": "{model}", "dataset": "{dataset}"},
        ),
        pdf="results/{name}/figures/similarity_{model}_{dataset}.pdf",
    log:
        "results/{name}/figures/similarity_{model}_{dataset}.log",
    benchmark:
        "results/{name}/figures/similarity_{model}_{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(masks=list(mask_uses.shown(CONFIG, w.model, w.dataset, reading="distances"))),
        code=code("plot_similarity"),
    shell:
        r"""
        python scripts/plot_similarity.py \
            --spec {params.spec:q} \
            --distances {input.distances:q} \
            --masks {input.masks:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_classifiers:
    """How well each layer's hidden states tell the classes apart, where neurons were picked by that."""
    input:
        records=lambda w: mask_files(w, "states", "json"),
    output:
        png=report(
            "results/{name}/figures/classifiers_{model}_{dataset}.png",
            caption="../report/classifiers.rst",
            category="Neurons",
            labels={"what": "Classifiers", "model": "{model}", "dataset": "{dataset}"},
        ),
        pdf="results/{name}/figures/classifiers_{model}_{dataset}.pdf",
    log:
        "results/{name}/figures/classifiers_{model}_{dataset}.log",
    benchmark:
        "results/{name}/figures/classifiers_{model}_{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(masks=list(mask_uses.shown(CONFIG, w.model, w.dataset, reading="states"))),
        code=code("plot_classifiers"),
    shell:
        r"""
        python scripts/plot_classifiers.py \
            --spec {params.spec:q} \
            --records {input.records:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule show_samples:
    """A sample of test sentences with every method's output."""
    input:
        run_files("outputs", "scores"),
    output:
        page=report(
            "results/{name}/samples/samples.html",
            caption="../report/samples.rst",
            category="Results",
            labels={"what": "3 Sample outputs"},
        ),
    log:
        "results/{name}/samples/samples.log",
    benchmark:
        "results/{name}/samples/samples.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(**PLAN.samples()),
        code=code("show_samples"),
    shell:
        r"""
        python scripts/show_samples.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --page {output.page:q} |& tee {log:q}
        """


rule show_config:
    """The configuration with every default filled in."""
    output:
        page=report(
            "results/{name}/config.html", caption="../report/config.rst", category="Set-up", labels={"what": "Configuration"}
        ),
    log:
        "results/{name}/config.log",
    benchmark:
        "results/{name}/config.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(**plain(CONFIG)),
        code=code("show_config"),
    shell:
        r"""
        python scripts/show_config.py \
            --spec {params.spec:q} \
            --page {output.page:q} |& tee {log:q}
        """


rule record_provenance:
    """What made the results: code, machine, packages, and the hashes of model, data, masks, deltas, outputs and scores."""
    input:
        run_files("delta_record", "metrics", "outputs", "scores"),
        sorted({f"{R}/model/{experiment.model}.json" for experiment in CONFIG.experiments}),
        sorted({f"{R}/data/{name}/counts.json" for e in CONFIG.experiments for name in (e.train, *e.test)}),
        list(dict.fromkeys([*(f"{mask}.safetensors" for mask in PLAN.masks()), *ANALYSES.masks()])),
    output:
        provenance="results/{name}/provenance.json",
    log:
        "results/{name}/provenance.log",
    benchmark:
        "results/{name}/provenance.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(config=plain(CONFIG)),
        code=code("record_provenance"),
    shell:
        r"""
        python scripts/record_provenance.py \
            --spec {params.spec:q} \
            --records {input:q} \
            --provenance {output.provenance:q} |& tee {log:q}
        """
