"""Show what the methods wrote: a page with a sample of test sentences and each method's output
under one another.

Reads   results/<name>/{generate,score}/…   outputs of every run in the spec, and their scores by segment
Writes  samples.html                        one file without outside assets
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from html import escape
from typing import Any

from neft.errors import NeftError
from neft.reporting.pages import page
from neft.results import runs
from neft.results.runs import Runs
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files

STYLE = """
input { font: inherit; width: 100%; max-width: 26rem; padding: .4rem .6rem; border: 1px solid var(--soft); border-radius: 6px;
  background: var(--ground); color: inherit; }
article { border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: .7rem 1rem; }
article p { margin: .15rem 0; overflow-wrap: anywhere; } .label { color: var(--soft); font-size: .82rem; }
article table { width: 100%; margin-top: .4rem; } article tr:last-child > * { border-bottom: 0; }
article th, article td { white-space: normal; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
article th { width: 9.5rem; } article td.score { text-align: right; width: 4.2rem; font-variant-numeric: tabular-nums; }
.cut { color: var(--soft); border: 1px solid var(--soft); border-radius: 4px; padding: 0 .3rem; font-size: .75rem; }
@media (max-width: 40rem) { article th { width: 5.5rem; } article th, article td { padding: .3rem .25rem; } }
"""
SEARCH = """<p><label for="search">Show sentences with</label><br><input id="search" type="search"></p>
<p class="soft" role="status" id="found"></p>"""
SCRIPT = """<script>
const cards = [...document.querySelectorAll("article")], found = document.getElementById("found");
document.getElementById("search").addEventListener("input", event => {
  const wanted = event.target.value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards) {
    card.hidden = !card.textContent.toLowerCase().includes(wanted);
    shown += !card.hidden;
  }
  found.textContent = wanted ? `${shown} of ${cards.length}` : "";
});
</script>"""


class Spec(Strict):
    """Which outputs are shown."""

    title: str
    runs: Runs
    """Of a method with several seeds the first is shown."""
    metrics: tuple[str, ...]
    """The first that all methods have on a test set stands beside their outputs."""
    samples: int
    """How many rows of each test set."""
    seed: int
    """Decides which."""
    languages: dict[str, dict[str, str]]
    """Of the texts of each test set: {source, output}."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    arguments.add_argument("--page", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    groups = runs.group([one for one in spec.runs if one.generated])
    lead = "Test rows drawn at random. A number beside an output is its own score."
    body = SEARCH + "".join(section(args.results, group, spec) for group in groups) + SCRIPT
    files.write_text(args.page, page(spec.title, lead, body, STYLE))


def first(group: runs.Group) -> list[runs.Run]:
    """The first seed of every method."""
    return [seeds[0] for seeds in group.methods.values()]


def section(root: str, group: runs.Group, spec: Spec) -> str:
    """One group: a heading and a card for each sampled row."""
    metric = next(
        (name for name in spec.metrics if all(name in one.metrics for one in first(group))), None
    )
    shown = ""
    outputs: dict[str, list[dict[str, Any]]] = {}
    scores: dict[str, list[str]] = {}
    for one in first(group):
        paths = runs.paths(root, one)
        assert paths.outputs, one.method  # only runs that have outputs are shown
        outputs[one.method] = files.read_rows(paths.outputs)
        if metric:
            score = runs.read(paths.scores[metric], "segments", "title", "decimals")
            scores[one.method] = [f"{value:.{score['decimals']}f}" for value in score["segments"]]
            shown = f"; beside each output its {score['title']}"
    sizes = {len(rows) for of_kind in (outputs, scores) for rows in of_kind.values()}
    if len(sizes) > 1:
        raise NeftError(
            f"{group.test}: outputs and scores have {sorted(sizes)} rows; all must come from the"
            " same test set"
        )
    (size,) = sizes
    sample = sorted(random.Random(spec.seed).sample(range(size), min(spec.samples, size)))
    languages = spec.languages.get(group.test, {})
    cards = "\n".join(
        card(
            {m: outputs[m][place] for m in outputs},
            {m: scores[m][place] for m in scores},
            languages,
        )
        for place in sample
    )
    title = (
        f"{group.model}, tuned on {group.dataset}, tested on {group.test}: {len(sample)} of {size}"
        f" rows{shown}"
    )
    return f"<section><h2>{escape(title)}</h2>\n{cards}\n</section>"


def card(rows: dict[str, dict[str, Any]], scores: dict[str, str], languages: dict[str, str]) -> str:
    """One row: source, reference, and a line for each method; browsers choose fonts and voices by
    the texts' languages.
    """
    lang = {part: f' lang="{escape(code)}"' for part, code in languages.items()}
    source, output = lang.get("source", ""), lang.get("output", "")
    sentence = next(iter(rows.values()))
    lines = []
    for method, row in rows.items():
        cut = "" if row["finished"] else ' <span class="cut">cut off</span>'
        text = escape(row["output"]) or '<span class="label">(empty)</span>'
        name = escape(method).replace("_", "_<wbr>")  # where a long name may break on a phone
        score = f'<td class="score">{scores[method]}</td>' if method in scores else ""
        lines.append(
            f'<tr><th scope="row">{name}</th>{score}<td'
            f' dir="auto"><span{output}>{text}</span>{cut}</td></tr>'
        )
    return (
        f'<article><p class="label">sentence {escape(str(sentence["id"]))}</p>'
        '<p dir="auto"><span class="label">source</span>'
        f" <span{source}>{escape(sentence['source'])}</span></p>"
        '<p dir="auto"><span class="label">reference</span>'
        f" <b{output}>{escape(sentence['reference'])}</b></p>"
        f"<table>{''.join(lines)}</table></article>"
    )


if __name__ == "__main__":
    run(main)
