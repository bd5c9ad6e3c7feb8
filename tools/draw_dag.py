"""Draw the stages and what flows between them into the README (`make docs`): Mermaid, which GitHub shows
as a picture.

Reads   the workflow, through `snakemake --rulegraph`
Writes  README.md, between the two dag marks
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = re.findall(
    r'"rules/(?!common)(\w+)\.smk"', (ROOT / "Snakefile").read_text(encoding="utf-8")
)


def stages() -> dict[str, str]:
    """The stage of each rule."""
    return {
        rule: stage
        for stage in STAGES
        for rule in re.findall(
            r"^(?:rule|checkpoint) (\w+):", (ROOT / f"rules/{stage}.smk").read_text(), re.M
        )
    }


def edges() -> set[tuple[str, str]]:
    """Which rule's output another rule reads; without `all`, to which everything leads."""
    command = ["snakemake", "--rulegraph", "mermaid-js"]
    graph = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph)}
    return {(a, b) for a, b in found if b != "all"}


def drawing(edges: set[tuple[str, str]]) -> str:
    """A box per stage with the rules that run in it, and an arrow wherever a stage reads another; the
    same text every time. `record_provenance`, which reads everything, has no arrows.
    """
    stage = stages()
    lines = ["```mermaid", "flowchart LR"]
    for name in STAGES:
        shown = [rule for rule in stage if stage[rule] == name and any(rule in e for e in edges)]
        if shown:
            lines.append(f'  {name}["<b>{name}</b><br/>{"<br/>".join(shown)}"]')
    arrows = {(stage[a], stage[b]) for a, b in edges if b != "record_provenance"}
    lines += [
        f"  {a} --> {b}"
        for a, b in sorted(arrows, key=lambda e: tuple(map(STAGES.index, e)))
        if a != b
    ]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, after = re.split(r"(?s)(?<=<!-- dag -->\n)(.*?)(?=<!-- /dag -->)", text)
    readme.write_text(before + drawing(edges()) + "\n" + after, encoding="utf-8")
