"""Draw the graph of rules into the README (`make docs`): Mermaid, which GitHub shows as a picture.

Reads   the workflow, through `snakemake --rulegraph`
Writes  README.md, between the two dag marks
"""

import re
import subprocess
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
STAGES = ["data", "model", "select", "tune", "generate", "score", "analyse", "figures", "neuron_figures", "report", "paper"]


def edges() -> set[tuple[str, str]]:
    """Which rule's output another rule reads; `all` is left out, since everything at the end leads to it."""
    command = ["snakemake", "--rulegraph", "mermaid-js"]
    graph = subprocess.run(command, cwd=README.parent, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph)}
    return {(a, b) for a, b in found if b != "all"}


def drawing(edges: set[tuple[str, str]]) -> str:
    """The graph with a box for each stage; the same text every time."""
    lines = ["```mermaid", "flowchart LR"]
    for stage in STAGES:
        rules = re.findall(r"^rule (\w+):", (README.parent / f"rules/{stage}.smk").read_text(), re.M)
        shown = [rule for rule in rules if any(rule in edge for edge in edges)]
        if shown:
            lines += [f"  subgraph {stage}", *(f"    {rule}" for rule in shown), "  end"]
    return "\n".join([*lines, *(f"  {a} --> {b}" for a, b in sorted(edges)), "```"])


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    before, _, after = re.split(r"(?s)(?<=<!-- dag -->\n)(.*?)(?=<!-- /dag -->)", text)
    README.write_text(before + drawing(edges()) + "\n" + after, encoding="utf-8")
