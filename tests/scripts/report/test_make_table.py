from __future__ import annotations

import csv

import pytest

import finished
from neft.results import comparisons
from scripts.report import make_table

KINDS = ("csv", "markdown", "latex", "html")


def make(root, folder, runs):
    paths = {kind: folder / f"main.{kind}" for kind in KINDS}
    flags = [text for kind, path in paths.items() for text in (f"--{kind}", str(path))]
    make_table.main(
        [
            "--spec",
            finished.spec(runs, title="Results", baseline="full"),
            "--results",
            str(root),
            *flags,
        ]
    )
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs())


def test_every_method_is_a_row_in_the_order_of_the_config(root, tmp_path):
    rows = list(csv.DictReader(make(root, tmp_path, finished.runs())["csv"].splitlines()))
    assert [row["method"] for row in rows] == list(finished.METHODS)
    assert {row["dataset"] for row in rows} == {finished.DATASET}


def test_scores_of_the_table_are_those_of_the_score_files(root, tmp_path):
    from neft.storage.files import read_json

    row = next(
        r
        for r in csv.DictReader(make(root, tmp_path, finished.runs())["csv"].splitlines())
        if r["method"] == "neft"
    )
    folder = f"{finished.MODEL}/{finished.DATASET}/neft/seed1/{finished.TEST}/chrf.json"
    score = read_json(root / "score" / folder)
    assert [float(row[f"chrf{part}"]) for part in ("", "_low", "_high")] == [
        score["value"],
        score["low"],
        score["high"],
    ]
    place = (finished.MODEL, finished.DATASET, finished.TEST, "chrf")
    compared = comparisons.load(root, *place).of("neft", "full")
    assert float(row["chrf_difference"]) == compared.difference.value
    assert (
        float(row["chrf_run_p"]) == pytest.approx(compared.runs[0].p, rel=1e-5)
        and row["chrf_p"] == ""
    )
    assert row["chrf_signature"] == score["signature"]


def test_all_four_formats_name_every_method_and_both_signatures(root, tmp_path):
    tables = make(root, tmp_path, finished.runs())
    for kind, text in tables.items():
        plain = (
            text.replace("\\_", "_").replace("\\|", "|").replace(r"\textbar{}\allowbreak{}", "|")
        )
        assert all(method in plain for method in finished.METHODS), kind
        assert "nrefs:1|bs:100|seed:12345|case:mixed|eff:no|tok:13a" in plain, kind
        assert "nc:6|nw:2" in plain, kind


def test_two_training_sets_and_three_seeds_make_two_tables_with_the_untuned_model_in_both(tmp_path):
    methods = ("base", "full", "neft")
    runs = (
        finished.runs((1, 2, 3), methods=methods)
        + finished.runs((1, 2, 3), dataset="other", methods=methods)[1:]
    )
    tables = make(finished.write(tmp_path / "root", runs), tmp_path, runs)
    rows = list(csv.DictReader(tables["csv"].splitlines()))
    assert [(row["dataset"], row["method"], row["seeds"]) for row in rows] == [
        (dataset, method, "1" if method == "base" else "3")
        for dataset in (finished.DATASET, "other")
        for method in methods
    ]
    # The untuned model is compared with each set's own baseline.
    assert len({row["bleu_difference"] for row in rows if row["method"] == "base"}) == 2
    assert all(0 <= float(row["bleu_p"]) <= 1 for row in rows if row["method"] != "full")
    assert all(row["bleu_sd"] for row in rows if row["method"] != "base")
    assert tables["latex"].count(r"\toprule") == 2 and tables["markdown"].count("## ") == 2


def test_made_again_the_files_are_the_same_bytes(root, tmp_path):
    assert make(root, tmp_path / "a", finished.runs()) == make(
        root, tmp_path / "b", finished.runs()
    )


def test_near_duplicates_between_test_and_train_are_said(root, tmp_path):
    text = make(root, tmp_path, finished.runs())["markdown"]
    assert "of 60 test rows so many have a train row" in text
    assert "6 (10 %) at 66 %, 3 (5 %) at 80 %" in text
