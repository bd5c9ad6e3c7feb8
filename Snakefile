"""
Neuron-level fine-tuning, from data to report. `config.yaml` is all that needs editing.

The stages are included in the order in which data runs through them; each file opens with what it needs and what it makes.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/model.smk"
include: "rules/select.smk"
include: "rules/tune.smk"
include: "rules/generate.smk"
include: "rules/score.smk"
include: "rules/analyse.smk"
include: "rules/run_figures.smk"
include: "rules/neuron_figures.smk"
include: "rules/paper.smk"
include: "rules/report.smk"


# On a cluster these run where Snakemake does: they take seconds, or need the network, which compute
# nodes often don't have.
localrules:
    all,
    fetch_wheel,
    fetch_hub,
    install_comet,
    split_dataset,
    select_neurons,
    choose_trial,
    make_table,
    make_paper_table,
    summarize_claims,
    plot_scores,
    plot_costs,
    plot_budgets,
    plot_losses,
    plot_neurons,
    plot_similarity,
    plot_classifiers,
    plot_ranks,
    plot_categories,
    show_samples,
    show_config,
    record_provenance,


rule all:
    """Every table, figure and page of the experiment, and the record of what made them."""
    default_target: True
    input:
        PRODUCTS,
