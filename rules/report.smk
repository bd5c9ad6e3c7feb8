"""
Turn results into tables and pages, and record what made them. `snakemake --report` binds them into one HTML file.
NEEDS  results/{name}/{score,compare,generate,tune,mask}/…
MAKES  results/{name}/{tables,samples}/…  results/{name}/config.html  results/{name}/provenance.json
       results/{name}/tune/…/chosen/provenance.json  results/{name}/score/…/{test}.provenance.json
"""

from neft.results.runs import files_of
from neft.workflow.plan.report import ReportPlan

REPORT = ReportPlan(RUNS)
FIGURES = [*RUN_FIGURES.names(), *NEURON_FIGURES.names()]
# All that is asked for but the record of what made it. Outputs and scores by name, since one that
# was deleted is not missed if only the table is asked for.
MADE = [
    *RUNS.files("outputs", "scores", "metrics", "trials"),
    *SCORE.comparisons(),
    *(str(RUNS.layout.figure(name, suffix)) for name in FIGURES for suffix in ("png", "pdf")),
    *REPORT.products(),
    *ANALYSE.products(),
    *PAPER.products(),
]
PRODUCTS = [
    *MADE,
    *RUNS.files("provenance", "delta_provenance"),
    str(RUNS.layout.page("provenance.json")),
]


rule make_table:
    """One row a dataset, test set and method: what it trains, how it scores, what it costs."""
    input:
        RUNS.files("scores", "metrics", "trials"),
        SCORE.comparisons(),
        RUNS.near(),
    output:
        csv="results/{name}/tables/main.csv",
        markdown="results/{name}/tables/main.md",
        latex="results/{name}/tables/main.tex",
        html=report(
            "results/{name}/tables/main.html",
            caption="../report/table.rst",
            category="Results",
            labels={"what": "1 Table"},
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
        spec=REPORT.make_table,
        code=code("make_table"),
    shell:
        r"""
        PYTHONPATH=. python scripts/report/make_table.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --csv {output.csv:q} \
            --markdown {output.markdown:q} \
            --latex {output.latex:q} \
            --html {output.html:q} |& tee {log:q}
        """


rule show_samples:
    """A sample of test sentences with every method's output."""
    input:
        RUNS.files("outputs", "scores"),
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
        spec=REPORT.show_samples,
        code=code("show_samples"),
    shell:
        r"""
        PYTHONPATH=. python scripts/report/show_samples.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --page {output.page:q} |& tee {log:q}
        """


rule show_config:
    """The configuration with every default filled in."""
    output:
        page=report(
            "results/{name}/config.html",
            caption="../report/config.rst",
            category="Set-up",
            labels={"what": "Configuration"},
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
        spec=REPORT.show_config,
        code=code("show_config"),
    shell:
        r"""
        PYTHONPATH=. python scripts/report/show_config.py \
            --spec {params.spec:q} \
            --page {output.page:q} |& tee {log:q}
        """


rule record_provenance:
    """What made the results: code, machine, packages, and for every file its hash and the job that made it, out of what."""
    input:
        MADE,
    output:
        provenance="results/{name}/provenance.json",
        runs=files_of("results/{name}", RUNS.all(), "provenance", "delta_provenance"),
    log:
        "results/{name}/provenance.log",
    benchmark:
        "results/{name}/provenance.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=grown(30),
    params:
        spec=REPORT.record_provenance,
        code=code("record_provenance"),
    shell:
        r"""
        PYTHONPATH=. python scripts/report/record_provenance.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --provenance {output.provenance:q} |& tee {log:q}
        """
