"""
Tables as in the publication, with published values beside ours, and which of its claims hold.
NEEDS  results/{name}/{generate,score,compare,tune}/…  results/{name}/tables/overlap_{overlap}.csv
MAKES  results/{name}/tables/{table}.{csv,md,tex,html}  results/{name}/summary.md
"""

from neft.workflow.plan.paper import PaperPlan

PAPER = PaperPlan(SCORE)


wildcard_constraints:
    table=one_of(CONFIG.tables),


rule make_paper_table:
    """A table of the publication: our values with their intervals, the published ones beside them."""
    input:
        unpack(PAPER.make_paper_table_inputs),
    output:
        csv="results/{name}/tables/{table}.csv",
        markdown="results/{name}/tables/{table}.md",
        latex="results/{name}/tables/{table}.tex",
        html=report(
            "results/{name}/tables/{table}.html",
            caption="../report/paper_table.rst",
            category="Publication",
            labels={"what": "{table}"},
        ),
    log:
        "results/{name}/tables/{table}.log",
    benchmark:
        "results/{name}/tables/{table}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=PAPER.make_paper_table,
        code=PAPER.make_paper_table_code,
        published=lambda w, input: options(input, "published"),
    shell:
        r"""
        PYTHONPATH=. python scripts/paper/make_paper_table.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --csv {output.csv:q} \
            --markdown {output.markdown:q} \
            --latex {output.latex:q} \
            --html {output.html:q} \
            {params.published:q} |& tee {log:q}
        """


rule summarize_claims:
    """Which of the publication's claims hold here, in plain words."""
    input:
        PAPER.summarize_claims_inputs,
    output:
        summary="results/{name}/summary.md",
    log:
        "results/{name}/summary.log",
    benchmark:
        "results/{name}/summary.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=PAPER.summarize_claims,
        code=code("summarize_claims"),
    shell:
        r"""
        PYTHONPATH=. python scripts/paper/summarize_claims.py \
            --spec {params.spec:q} \
            --results results/{wildcards.name} \
            --summary {output.summary:q} |& tee {log:q}
        """
