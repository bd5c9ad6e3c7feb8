from __future__ import annotations

import csv
import json

import pytest
import torch
from safetensors.torch import save_file

from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from scripts.analyse import overlap_masks


def write(path, index, base="h"):
    key = "model.layers.0.mlp.up_proj"
    sites = {key: Site(key, "up_proj", "row", 0, 100, 8, 0)}
    NeuronMask({key: torch.tensor(list(index), dtype=torch.int32)}, sites, base, 8).save(path)
    return str(path)


def arguments(folder, first, second, pairs):
    paths = [
        part
        for kind in ("csv", "markdown", "latex", "html")
        for part in (f"--{kind}", str(folder / f"o.{kind}"))
    ]
    torch.manual_seed(0)
    weights = {"model.layers.0.mlp.up_proj.weight": torch.randn(100, 8)}
    save_file(weights, folder / "model.safetensors")
    return [
        "--spec",
        json.dumps({"title": "Masks", "pairs": pairs}),
        "--model",
        str(folder),
        "--first",
        *first,
        "--second",
        *second,
        *paths,
    ]


def test_every_format_says_overlap_and_chance(tmp_path):
    first = write(tmp_path / "a", list(range(20)))
    second = [write(tmp_path / "b", list(range(10, 30))), write(tmp_path / "c", list(range(5, 25)))]
    pairs = [
        {"a": "low", "b": "low (other)", "seed": seed, "references": ["short"]} for seed in (1, 2)
    ]
    short = [write(tmp_path / "s1", range(10, 20)), write(tmp_path / "s2", range(95, 100))]
    overlap_masks.main(
        [*arguments(tmp_path, [first, first], second, pairs), "--references", *short]
    )
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["shared"], row["overlap"], row["reference"]) for row in rows] == [
        ("1", "10", "50.0", "100.0"),
        ("2", "15", "75.0", "0.0"),
    ]
    assert float(rows[0]["above"]) == -50
    assert float(rows[1]["above"]) == pytest.approx(75 - float(rows[1]["chance"]))
    line = "| low | low (other) | 2 | 20 | 20 | 12 | 62.5 ± 17.7 | 20.0 ± 0.0 | "
    assert line in (tmp_path / "o.markdown").read_text()
    assert r"\toprule" in (tmp_path / "o.latex").read_text()
    assert "<h2>Masks</h2>" in (tmp_path / "o.html").read_text()


def test_masks_of_two_models_are_refused(tmp_path):
    files = [write(tmp_path / "a", [1]), write(tmp_path / "b", [1], base="another")]
    with pytest.raises(NeftError, match="different base models"):
        overlap_masks.main(
            arguments(tmp_path, files[:1], files[1:], [{"a": "x", "b": "y", "seed": 1}])
        )
