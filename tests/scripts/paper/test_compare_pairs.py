from __future__ import annotations

import json

import pytest

import finished
from neft.errors import NeftError
from neft.results.runs import from_spec, paths
from scripts.paper import compare_pairs
from scripts.score import compare_outputs

METHODS = ("full", "lora", "neft")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs(methods=METHODS))


def outputs(root):
    return {
        run.method: str(paths(root, run).outputs)
        for run in from_spec(finished.runs(methods=METHODS))
    }


def compare(tmp_path, files, pairs):
    spec = {
        "metric": finished.METRICS["chrf"],
        "language": "fr",
        "methods": list(files),
        "pairs": pairs,
    }
    compare_pairs.main(
        [
            "--spec",
            json.dumps(spec),
            "--outputs",
            *files.values(),
            "--pairs",
            str(tmp_path / "pairs.json"),
        ]
    )
    return json.loads((tmp_path / "pairs.json").read_text())


def test_a_pairs_test_is_that_of_compare_outputs(root, tmp_path):
    files = outputs(root)
    found = compare(tmp_path, files, [["neft", "lora"], ["neft", "full"]])
    spec = json.dumps(
        {
            "metric": finished.METRICS["chrf"],
            "language": "fr",
            "baseline": "lora",
            "baseline_run": {"dataset": "demo", "seed": 1},
        }
    )
    target = tmp_path / "one.json"
    compare_outputs.main(
        [
            "--spec",
            spec,
            "--outputs",
            files["neft"],
            "--baseline",
            files["lora"],
            "--comparison",
            str(target),
        ]
    )
    one = json.loads(target.read_text())
    first = found["pairs"][0]
    assert (first["first"], first["second"]) == ("neft", "lora")
    assert [first[key] for key in ("first_value", "second_value", "p")] == [
        one[k] for k in ("value", "baseline_value", "p")
    ]
    assert found["signature"] == one["signature"]
    assert len(found["pairs"]) == 2


def test_outputs_of_different_rows_are_refused(root, tmp_path):
    files = outputs(root)
    short = tmp_path / "short.jsonl"
    short.write_text("".join((root / files["lora"]).read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(NeftError, match="neft has 60 rows but lora has 59"):
        compare(tmp_path, files | {"lora": str(short)}, [["neft", "lora"]])
