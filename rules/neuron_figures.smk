"""
Draw neurons: which are selected, how far they turned, how well layers tell classes apart, how their use changes.
NEEDS  results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.{safetensors,json}  results/{name}/similarity/…
       results/{name}/tables/{ranks,categories}_….json
MAKES  results/{name}/figures/{neurons,similarity,classifiers}_{model}_{dataset}.{png,pdf}
       results/{name}/figures/{ranks,categories}_….{png,pdf}
"""

from neft.workflow.plan.neuron_figures import NeuronFigurePlan

NEURON_FIGURES = NeuronFigurePlan(CONFIG)


rule plot_neurons:
    """Which share of each projection in each layer the masks select."""
    input:
        unpack(NEURON_FIGURES.plot_neurons_inputs),
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
        spec=NEURON_FIGURES.plot_neurons,
        code=code("plot_neurons"),
    shell:
        r"""
        PYTHONPATH=. python scripts/neuron_figures/plot_neurons.py \
            --spec {params.spec:q} \
            --masks {input.masks:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_similarity:
    """How far neurons turned in the probe, and where the masks cut."""
    input:
        unpack(NEURON_FIGURES.plot_similarity_inputs),
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
        spec=NEURON_FIGURES.plot_similarity,
        code=code("plot_similarity"),
    shell:
        r"""
        PYTHONPATH=. python scripts/neuron_figures/plot_similarity.py \
            --spec {params.spec:q} \
            --distances {input.distances:q} \
            --masks {input.masks:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_classifiers:
    """How well each layer's hidden states tell the classes apart, where neurons were picked by that."""
    input:
        unpack(NEURON_FIGURES.plot_classifiers_inputs),
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
        spec=NEURON_FIGURES.plot_classifiers,
        code=code("plot_classifiers"),
    shell:
        r"""
        PYTHONPATH=. python scripts/neuron_figures/plot_classifiers.py \
            --spec {params.spec:q} \
            --records {input.records:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_ranks:
    """Mean rank difference between pairs of models, by percentile and over all neurons."""
    input:
        ranks="results/{name}/tables/ranks_{ranks}.json",
    output:
        png=report(
            "results/{name}/figures/ranks_{ranks}.png",
            caption="../report/ranks.rst",
            category="Neurons",
            labels={"what": "Rank differences", "analysis": "{ranks}"},
        ),
        pdf="results/{name}/figures/ranks_{ranks}.pdf",
    log:
        "results/{name}/figures/ranks_{ranks}.log",
    benchmark:
        "results/{name}/figures/ranks_{ranks}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(),
        code=code("plot_ranks"),
    shell:
        r"""
        PYTHONPATH=. python scripts/neuron_figures/plot_ranks.py \
            --spec {params.spec:q} \
            --ranks {input.ranks:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_categories:
    """Counts of strongly affected, suppressed and indirectly affected neurons."""
    input:
        categories="results/{name}/tables/categories_{ranks}.json",
    output:
        png=report(
            "results/{name}/figures/categories_{ranks}.png",
            caption="../report/categories.rst",
            category="Neurons",
            labels={"what": "Affected neurons", "analysis": "{ranks}"},
        ),
        pdf="results/{name}/figures/categories_{ranks}.pdf",
    log:
        "results/{name}/figures/categories_{ranks}.log",
    benchmark:
        "results/{name}/figures/categories_{ranks}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=lambda w: spec(),
        code=code("plot_categories"),
    shell:
        r"""
        PYTHONPATH=. python scripts/neuron_figures/plot_categories.py \
            --spec {params.spec:q} \
            --categories {input.categories:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """
