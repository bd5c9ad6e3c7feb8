from __future__ import annotations

import re

from neft.reporting.typeset import Cell, Sheet, latex, markdown, table_html

SHEET = Sheet(
    title="tuned on a_b",
    header=["Method", "Kind", "% of all", "BLEU"],
    rows=[
        [
            Cell("full"),
            Cell("full"),
            Cell("100.00"),
            Cell("42.2 ± 0.3", bold=True, detail="[29.0, 54.5]"),
        ],
        [Cell("neft_random"), Cell("<neft>"), Cell("9.00"), Cell("–")],
    ],
    notes=[("p", "less than < 1 & more"), ("BLEU", "nrefs:1|tok:13a")],
)


def test_markdown_has_a_line_for_each_row_and_escapes_what_would_be_markup():
    assert markdown([SHEET]).splitlines() == [
        r"## tuned on a\_b",
        "",
        "| Method | Kind | % of all | BLEU |",
        "| :-- | :-- | --: | --: |",
        r"| full | full | 100.00 | **42.2 ± 0.3 \[29.0, 54.5\]** |",
        r"| neft\_random | \<neft> | 9.00 | – |",
        "",
        r"- p: less than \< 1 & more",
        r"- BLEU: nrefs:1\|tok:13a",
    ]


def test_latex_has_booktabs_rules_and_escapes_what_would_be_markup():
    text = latex([SHEET])
    assert r"\begin{tabular}{llrr}" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"full & full & 100.00 & \textbf{42.2 $\pm$ 0.3 [29.0, 54.5]} \\" in text
    assert r"neft\_random & \textless{}neft\textgreater{} & 9.00 & -- \\" in text
    assert r"Method & Kind & \% of all & BLEU \\" in text
    assert r"nrefs:1\textbar{}\allowbreak{}tok:13a" in text


def test_latex_has_commands_for_the_marks_of_notes():
    text = latex([Sheet("t", ["Method", "Kind"], [[Cell("1.0†‡"), Cell("§¶")]], [("†", "why")])])
    assert r"1.0\dag{}\ddag{} & \S{}\P{} \\" in text and r"\textit{\dag{}}: why" in text


def test_latex_environments_and_braces_close():
    text = latex([SHEET, SHEET])
    begun, ended = re.findall(r"\\begin\{(\w+\*?)\}", text), re.findall(r"\\end\{(\w+\*?)\}", text)
    assert begun == ["table*", "tabular"] * 2 and ended == ["tabular", "table*"] * 2
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")


def test_html_escapes_text_and_puts_the_detail_on_a_line_of_its_own():
    text = table_html(SHEET)
    assert "<td>&lt;neft&gt;</td>" in text
    assert '<td><b>42.2 ± 0.3</b><br><span class="soft">[29.0, 54.5]</span></td>' in text
    assert text.count('<th scope="row">') == 2 and text.count('<th scope="col">') == 4
