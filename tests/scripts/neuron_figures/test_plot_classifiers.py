"""The figure of accuracies by layer."""

from __future__ import annotations

import json
from pathlib import Path

from neft.storage.files import write_json
from scripts.neuron_figures import plot_classifiers


def test_draws_each_masks_accuracies_to_the_same_bytes(tmp_path: Path):
    for name, accuracy in (("a", [0.4, 0.6, 0.8]), ("b", [0.5, 0.5, 0.9])):
        report = {
            "accuracy": accuracy,
            "majority": 0.4,
            "classes": ["yes", "no"],
            "rows": {"train": 60, "dev": 30},
        }
        write_json(tmp_path / f"{name}.json", {"report": report})
    drawn = []
    for place in ("1", "2"):
        files = [tmp_path / f"{place}.{kind}" for kind in ("png", "pdf")]
        records = [str(tmp_path / f"{name}.json") for name in "ab"]
        arguments = ["--spec", json.dumps({"masks": ["a", "b"]}), "--records", *records]
        plot_classifiers.main([*arguments, "--png", str(files[0]), "--pdf", str(files[1])])
        drawn.append([file.read_bytes() for file in files])
    assert drawn[0] == drawn[1] and drawn[0][0].startswith(b"\x89PNG") and len(drawn[0][0]) > 10_000
