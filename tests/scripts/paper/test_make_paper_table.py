from __future__ import annotations

import csv
import json

import pytest
from scipy import stats

import finished
from neft.results.runs import from_spec, paths
from neft.storage import files
from scripts.paper import make_paper_table

KINDS = ("csv", "markdown", "latex", "html")
METHODS = ("base", "full", "lora", "neft", "neft_random")
PAIRS = [("neft", "lora"), ("neft_random", "lora")]
HEADER = "model,train,test,method,metric,value,version,suspect,note\n"


@pytest.fixture(scope="module", params=[(1,), (1, 2, 3)], ids=["one seed", "three seeds"])
def seeds(request):
    return request.param


@pytest.fixture(scope="module")
def root(tmp_path_factory, seeds):
    runs = finished.runs(seeds, methods=METHODS)
    return finished.write(tmp_path_factory.mktemp("finished"), runs, pairs=PAIRS)


def spec(table, planned):
    return json.dumps({"table": table, "planned": planned})


def make(root, folder, published="", planned=None, **table):
    outputs = {kind: folder / f"table.{kind}" for kind in KINDS}
    flags = [text for kind, path in outputs.items() for text in (f"--{kind}", str(path))]
    if published:
        (folder / "published.csv").write_text(HEADER + published)
        flags += ["--published", str(folder / "published.csv")]
    make_paper_table.main(["--spec", spec(table, planned), "--results", str(root), *flags])
    return {kind: path.read_text(encoding="utf-8") for kind, path in outputs.items()}


def scores(root, folder, seeds, published=""):
    runs = finished.runs(seeds, methods=METHODS)
    planned = {"runs": runs}
    return make(root, folder, published, planned, kind="scores", title="Table 2")


def duels(root, folder, seeds, published=""):
    runs = [
        run
        for run in finished.runs(seeds, methods=METHODS)
        if run["method"] in ("lora", "neft", "neft_random")
    ]
    sides = {"rows": ["lora"], "columns": ["neft", "neft_random"]}
    planned = {"runs": runs}
    return make(root, folder, published, planned, kind="duels", title="Table 7", **sides)


def rows(table):
    return list(csv.DictReader(table["csv"].splitlines()))


def test_every_score_has_a_row_for_each_seed_with_what_was_chosen(root, tmp_path, seeds):
    table = rows(scores(root, tmp_path, seeds))
    assert len(table) == 2 * (1 + 4 * len(seeds))  # two metrics; the untuned model has no seeds
    for run in from_spec(finished.runs(seeds, methods=METHODS)):
        record = files.read_json(paths(root, run).scores["bleu"])
        row = next(
            r
            for r in table
            if (r["method"], r["metric"], r["seed"]) == (run.method, "bleu", str(run.seed))
        )
        assert [float(row[key]) for key in ("value", "low", "high")] == [
            record[key] for key in ("value", "low", "high")
        ]
        assert (row["epochs"], row["trials"]) == (("2.0", "3") if run.tuned else ("", ""))


def test_the_interval_over_seeds_is_students(root, tmp_path, seeds):
    table = [
        row
        for row in rows(scores(root, tmp_path, seeds))
        if (row["method"], row["metric"]) == ("neft", "bleu")
    ]
    values = [float(row["value"]) for row in table]
    assert [float(row["mean"]) for row in table] == pytest.approx(
        [sum(values) / len(values)] * len(seeds)
    )
    if len(seeds) == 1:
        assert {row["mean_low"] for row in table} == {""}
    else:
        low, high = stats.t.interval(
            0.95, len(values) - 1, sum(values) / len(values), stats.sem(values)
        )
        assert [float(table[0]["mean_low"]), float(table[0]["mean_high"])] == pytest.approx(
            [low, high]
        )


def test_published_values_stand_beside_ours_with_their_doubts(root, tmp_path, seeds):
    cell = f"{finished.MODEL},{finished.DATASET},{finished.TEST}"
    published = f"{cell},neft,bleu,28.69,coling,,\n{cell},lora,bleu,27.13,v1,copy,twice\n"
    table = scores(
        root,
        tmp_path,
        seeds,
        published + f"{finished.MODEL},untuned,{finished.TEST},base,bleu,3.15,coling,,\n",
    )
    found = {(row["method"], row["metric"]): row for row in rows(table)}
    assert found["neft", "bleu"]["published"] == "28.69"
    assert found["base", "bleu"]["published"] == "3.15"
    assert [found["lora", "bleu"][key] for key in ("published_version", "suspect", "note")] == [
        "v1",
        "copy",
        "twice",
    ]
    assert found["full", "bleu"]["published"] == ""
    assert "27.1† (v1)" in table["markdown"] and r"27.1\dag{} (v1)" in table["latex"]
    assert "also printed elsewhere" in table["html"]
    assert (
        table["markdown"].count("Published") == 2
    )  # one column, for the metric that has values, and its note


def test_methods_with_more_trials_than_others_are_named(root, tmp_path, seeds):
    assert "lowest dev loss of 3 trials" in scores(root, tmp_path, seeds)["markdown"]
    run = next(
        run
        for run in from_spec(finished.runs(seeds, methods=METHODS))
        if (run.method, run.seed) == ("neft", seeds[-1])
    )
    path = paths(root, run).trials
    before = path.read_text()
    path.write_text(json.dumps([{}] * 6))
    uneven = scores(root, tmp_path, seeds)["markdown"]
    path.write_text(before)
    assert "not the same number for all methods" in uneven and "neft 6" in uneven


def test_a_duel_has_both_values_their_difference_its_winner_and_a_test(root, tmp_path, seeds):
    table = rows(duels(root, tmp_path, seeds))
    assert len(table) == 2 * 2 * len(seeds)
    for row in table:
        assert float(row["difference"]) == pytest.approx(
            float(row["column_value"]) - float(row["row_value"])
        )
        assert row["winner"] == (row["column"] if float(row["mean_difference"]) > 0 else row["row"])
        assert 0 < float(row["run_p"]) <= 1
        assert float(row["mean_difference_low"]) < float(row["mean_difference"])
        assert bool(row["p"]) == (len(seeds) > 1)
    text = duels(root, tmp_path, seeds)["markdown"]
    assert ("these two runs (one seed" in text) == (len(seeds) == 1)


def test_wins_are_counted_beside_the_published_ones(root, tmp_path, seeds):
    cell = f"{finished.MODEL},{finished.DATASET},{finished.TEST}"
    published = f"{cell},neft,bleu,28,coling,,\n{cell},lora,bleu,27,coling,odd,\n{cell},neft_random,bleu,29,v1,,\n"
    table = duels(root, tmp_path, seeds, published)
    won = len(
        {
            row["column"]
            for row in rows(table)
            if row["metric"] == "bleu" and row["winner"] == row["column"]
        }
    )
    line = next(
        line
        for line in table["markdown"].splitlines()
        if f"| {finished.DATASET}, {finished.TEST} | bleu |" in line
    )
    # Two versions score by different measures: only one of the two duels is published.
    assert line.split(" | ")[2:4] == ["2", str(won)] and line.endswith("| 1 of 1 |")
    assert r"\[+1.0‡\]" in table["markdown"]
    assert table["latex"].count(r"\toprule") == 3


def test_overlaps_stand_beside_chance_by_budget(tmp_path):
    lines = [
        "a,b,seed,first,second,offered,shared,overlap,random,chance,references,reference,above",
        "low-3,low-3 (other),1,100,100,1000,63,63.0,9.0,10.0,,,53.0",
        "low-3,low-3 (other),2,100,100,1000,61,61.0,9.0,10.0,,,51.0",
        "low-6,low-6 (other),1,200,200,1000,130,65.0,18.0,20.0,short 30.0,30.0,35.0",
    ]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/overlap_separated.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "published.csv").write_text(
        "model,overlap,mask,value,version,suspect,note\nm,separated,low-3,63,coling,copy,same\n"
    )
    table = {"kind": "overlaps", "title": "Table 6", "overlaps": ["separated"]}
    planned = {"models": {"separated": "m"}}
    outputs = {kind: tmp_path / f"table.{kind}" for kind in KINDS}
    flags = [text for kind, path in outputs.items() for text in (f"--{kind}", str(path))]
    make_paper_table.main(
        [
            "--spec",
            spec(table, planned),
            "--results",
            str(tmp_path),
            "--published",
            str(tmp_path / "published.csv"),
            *flags,
        ]
    )
    table = list(csv.DictReader(outputs["csv"].open()))
    assert [(row["seed"], row["mean"], row["published_above_chance"]) for row in table] == [
        ("1", "62.0", "53.0"),
        ("2", "62.0", "53.0"),
        ("1", "65.0", ""),
    ]
    assert [float(row["percent_of_neurons"]) for row in table] == [10, 10, 20]
    assert "| 62.0 (49.3 to 74.7) | 10.0 | 52.0 | 63† | 53.0 |" in outputs["markdown"].read_text()


def test_made_again_the_files_are_the_same_bytes(root, tmp_path, seeds):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert duels(root, tmp_path / "a", seeds) == duels(root, tmp_path / "b", seeds)
