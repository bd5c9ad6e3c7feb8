"""Fixtures of the workflow tests: the tiny configuration, and one finished run of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Workflow


@pytest.fixture(scope="session")
def tiny_config(tiny_model: Path, tiny_pairs: Path) -> dict[str, Any]:
    """Every method on a tiny random model and sixty pairs: seconds a job."""
    return {
        "name": "tiny",
        "seeds": [1],
        "models": {
            "tiny-llama": {"source": {"kind": "files", "path": str(tiny_model)}, "dtype": "float32"}
        },
        "datasets": {
            "pairs": {
                "task": {
                    "kind": "translation",
                    "source_language": "en",
                    "target_language": "fr",
                    "system": "Translate.",
                    "prompt": "French: {source}",
                },
                "source": {
                    "kind": "files",
                    "paths": [str(tiny_pairs)],
                    "columns": {"source": "en", "target": "fr"},
                },
                "splits": {"seed": 1, "train": 32, "dev": 8, "test": 8},
            }
        },
        "probe": {"learning_rate": 1.0e-2, "steps": 2},
        "masks": {
            "low": {"kind": "similarity", "fraction": 0.09},
            "high": {"kind": "reversed", "fraction": 0.09},
            "random": {"kind": "random", "fraction": 0.09},
        },
        "methods": {
            "base": {"kind": "base"},
            "full": {"kind": "full", "learning_rate": 1.0e-2},
            "embed": {"kind": "embed", "learning_rate": 1.0e-2},
            "in_out": {"kind": "in_out", "learning_rate": 1.0e-2},
            "lora": {"kind": "lora", "rank": 4, "learning_rate": [1.0e-2, 3.0e-2]},
            "neft": {"kind": "neft", "mask": "low", "learning_rate": 1.0e-2},
            "neft_random": {"kind": "neft", "mask": "random", "learning_rate": 1.0e-2},
            "neft_reversed": {"kind": "neft", "mask": "high", "learning_rate": 1.0e-2},
        },
        "search": {"extensions": 0},
        "training": {"epochs": 1, "batch_size": 8, "evaluations": 2, "precision": "float32"},
        "generation": {"max_new_tokens": 8, "batch_size": 4},
        "metrics": {
            "bleu": {"kind": "bleu", "bootstrap": 100},
            "chrf": {"kind": "chrf", "bootstrap": 100},
        },
        "experiments": [
            {
                "model": "tiny-llama",
                "train": "pairs",
                "test": ["pairs"],
                "methods": [
                    "base",
                    "full",
                    "embed",
                    "in_out",
                    "lora",
                    "neft",
                    "neft_random",
                    "neft_reversed",
                ],
                "metrics": ["bleu", "chrf"],
            }
        ],
        "report": {"baseline": "full", "samples": 4},
    }


@pytest.fixture(scope="session")
def finished(tiny_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The tiny workflow, run to its end once. Tests that change it put everything back (see
    `restored`).
    """
    workflow = Workflow(tmp_path_factory.mktemp("finished") / "neft", tiny_config)
    workflow.snakemake()
    return workflow
