"""
Draw results: scores, what they cost, loss curves, and scores by the number of trained parameters.
NEEDS  results/{name}/{score,tune}/…
MAKES  results/{name}/figures/{scores,costs,losses}_{model}_{dataset}.{png,pdf}  results/{name}/figures/{figure}.{png,pdf}
"""

from neft.workflow.plan.run_figures import RunFigurePlan

RUN_FIGURES = RunFigurePlan(RUNS)


wildcard_constraints:
    losses=one_of(RUN_FIGURES.losses),
    budgets=one_of(RUN_FIGURES.budgets),


rule plot_scores:
    """Scores of all methods with their intervals."""
    input:
        RUN_FIGURES.plot_scores_inputs,
    output:
        png=report(
            "results/{name}/figures/scores_{model}_{dataset}.png",
            caption="../report/scores.rst",
            category="Results",
            labels={"what": "2 Scores", "model": "{model}", "dataset": "{dataset}"},
        ),
        pdf="results/{name}/figures/scores_{model}_{dataset}.pdf",
    log:
        "results/{name}/figures/scores_{model}_{dataset}.log",
    benchmark:
        "results/{name}/figures/scores_{model}_{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=RUN_FIGURES.plot_scores,
        code=code("plot_scores"),
    shell:
        r"""
        PYTHONPATH=. python scripts/run_figures/plot_scores.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_costs:
    """Scores of all methods against training time, memory and the size of what is stored."""
    input:
        RUN_FIGURES.plot_costs_inputs,
    output:
        png=report(
            "results/{name}/figures/costs_{model}_{dataset}.png",
            caption="../report/costs.rst",
            category="Results",
            labels={"what": "4 Scores against costs", "model": "{model}", "dataset": "{dataset}"},
        ),
        pdf="results/{name}/figures/costs_{model}_{dataset}.pdf",
    log:
        "results/{name}/figures/costs_{model}_{dataset}.log",
    benchmark:
        "results/{name}/figures/costs_{model}_{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=RUN_FIGURES.plot_costs,
        code=code("plot_costs"),
    shell:
        r"""
        PYTHONPATH=. python scripts/run_figures/plot_costs.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_budgets:
    """Scores against the number of trained parameters, a line for each series of methods."""
    input:
        RUN_FIGURES.plot_budgets_inputs,
    output:
        png=report(
            "results/{name}/figures/{budgets}.png",
            caption="../report/budgets.rst",
            category="Results",
            labels={"what": "5 Scores by trained parameters", "figure": "{budgets}"},
        ),
        pdf="results/{name}/figures/{budgets}.pdf",
    log:
        "results/{name}/figures/{budgets}.log",
    benchmark:
        "results/{name}/figures/{budgets}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=RUN_FIGURES.plot_budgets,
        code=code("plot_budgets"),
    shell:
        r"""
        PYTHONPATH=. python scripts/run_figures/plot_budgets.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """


rule plot_losses:
    """Training and dev loss, by step and by time."""
    input:
        RUN_FIGURES.plot_losses_inputs,
    output:
        png=report(
            "results/{name}/figures/{losses}.png",
            caption="../report/losses.rst",
            category="Training",
            labels={"what": "Loss curves", "figure": "{losses}"},
        ),
        pdf="results/{name}/figures/{losses}.pdf",
    log:
        "results/{name}/figures/{losses}.log",
    benchmark:
        "results/{name}/figures/{losses}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=RUN_FIGURES.plot_losses,
        code=code("plot_losses"),
    shell:
        r"""
        PYTHONPATH=. python scripts/run_figures/plot_losses.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --png {output.png:q} \
            --pdf {output.pdf:q} |& tee {log:q}
        """
