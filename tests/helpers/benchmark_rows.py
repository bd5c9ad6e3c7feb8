"""Hand-written benchmark rows, and the command line of run_benchmark.py for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# A Punkt model of a few parameters, in NLTK's format: enough to tell "Dr. Ada" from the end of a
# sentence.
PUNKT = {
    "abbrev_types.txt": "dr\nmr\ne.g",
    "collocations.tab": "##number##\tinternational",
    "sent_starters.txt": "however\nthe",
    "ortho_context.tab": "the\t46\nada\t8",
}
IFEVAL: list[tuple[str, dict[str, dict[str, Any]]]] = [
    ("Name three colours without commas.", {"punctuation:no_comma": {}}),
    (
        "Greet me in French, in at most nine words.",
        {
            "language:response_language": {"language": "fr"},
            "length_constraints:number_words": {"relation": "less than", "num_words": 10},
        },
    ),
    (
        "Describe rain in two sentences.",
        {"length_constraints:number_sentences": {"relation": "less than", "num_sentences": 3}},
    ),
    ("Shout hello.", {"change_case:english_capital": {}, "startend:quotation": {}}),
]
QUESTIONS = [
    ("colours_val", "Which is a colour?", "Red", "Seven", "Run", "Paris", "A"),
    ("colours_val", "What is the sky's colour?", "Nine", "Blue", "Loud", "Tall", "B"),
    ("number_theory_val", "Which number is prime?", "4", "6", "7", "8", "C"),
    ("number_theory_val", "Which number is even?", "1", "3", "5", "2", "D"),
    ("number_theory_val", "What is 2 + 2?", "4", "5", "22", "0", "A"),
]
EXAMPLES = [
    ("colours_dev", "Which is green?", "Grass", "Snow", "Coal", "Milk", "A"),
    ("number_theory_dev", "Which number is odd?", "2", "4", "6", "9", "D"),
    ("colours_dev", "Which is white?", "Grass", "Snow", "Coal", "Rust", "B"),
    ("number_theory_dev", "What is 3 + 3?", "33", "6", "9", "0", "B"),
    ("colours_dev", "Which is black?", "Grass", "Snow", "Coal", "Milk", "C"),
]
FIELDS = ("subject", "question", "A", "B", "C", "D", "answer")


def ifeval_rows() -> list[dict[str, Any]]:
    """Four prompts as rows of the task."""
    return [
        {
            "key": str(n),
            "prompt": prompt,
            "instruction_id_list": json.dumps(list(instructions)),
            "kwargs": json.dumps(list(instructions.values())),
        }
        for n, (prompt, instructions) in enumerate(IFEVAL, start=1)
    ]


def questions(rows: list[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Questions as rows of the task."""
    return [dict(zip(FIELDS, row, strict=True)) for row in rows]


def write(path: Path, rows: list[dict[str, Any]], numbered: bool = True) -> Path:
    """Write rows as JSON Lines; numbered: with ids, as the pipeline's data has them."""
    rows = [{"id": n, **row} if numbered else row for n, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_punkt(folder: Path) -> list[Path]:
    """Write the small Punkt model where NLTK looks for it below `folder`."""
    place = folder / "tokenizers" / "punkt_tab" / "english"
    place.mkdir(parents=True)
    for name, text in PUNKT.items():
        (place / name).write_text(text, encoding="utf-8")
    return sorted(place.iterdir())


def arguments(
    model: Path, out: Path, task: dict[str, Any], test: Path, *more: str, batch_size: int = 4
) -> list[str]:
    """The command line of run_benchmark.py."""
    spec = {
        "task": task,
        "precision": "float32",
    }
    paths = {
        "model": model,
        "test": test,
        "parts": out / "parts",
        "outputs": out / "outputs.jsonl",
        "stats": out / "stats.json",
    }
    flags = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    return ["--spec", json.dumps(spec), *flags, "--batch-size", str(batch_size), *more]
