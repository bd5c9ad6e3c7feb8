"""Fixtures that all tests share: a tiny real model and tiny real data, made once a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# One thread a process, set before torch is loaded: tests start several at once, and threads that
# wait for each other on a busy machine made some of them five times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

# So that any test can `from tiny import …`, whatever folder pytest was started in.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))
# And any script that a test starts finds the library, as a rule's command does.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

import tiny

WORKFLOW = Path(__file__).parent / "workflow"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs whole workflows, and let it start first: a test of minutes that starts last
    would keep one of several processes waiting.
    """
    for item in items:
        if item.path.is_relative_to(WORKFLOW):
            item.add_marker("workflow")
    items.sort(key=lambda item: not item.path.is_relative_to(WORKFLOW))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama in float32 with tokenizer and chat template, as a Hugging Face directory. Read
    only: tests share it.
    """
    return tiny.make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty English-French pairs as TSV with the columns `en` and `fr`."""
    return tiny.write_pairs(tmp_path_factory.mktemp("data") / "pairs.tsv")


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pairs as JSON Lines {id, source, target}."""
    return tiny.write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl")
