from __future__ import annotations

import json

import pytest

from neft.errors import NeftError
from neft.storage import files
from scripts.score import score_outputs

ROWS = [
    {
        "id": 0,
        "source": "Open",
        "reference": "Ouvrir le fichier",
        "output": "Ouvrir le fichier",
        "text": "Ouvrir le fichier\nor so",
    },
    {
        "id": 1,
        "source": "Close",
        "reference": "Fermer la fenêtre",
        "output": "Fermer",
        "text": "Fermer",
    },
]


def score(tmp_path, metric, language="fr", rows=ROWS):
    files.write_rows(tmp_path / "outputs.jsonl", rows)
    options = json.dumps({"metric": metric, "language": language})
    score_outputs.main(
        [
            "--spec",
            options,
            "--outputs",
            str(tmp_path / "outputs.jsonl"),
            "--score",
            str(tmp_path / "score.json"),
        ]
    )
    return files.read_json(tmp_path / "score.json")


CHRF = {"kind": "chrf", "word_order": 2, "bootstrap": 100}


def test_writes_score_interval_signature_and_segments(tmp_path):
    result = score(tmp_path, CHRF)
    numbers = [
        "value",
        "low",
        "high",
        "confidence",
        "signature",
        "standard_error",
        "details",
        "notes",
        "n",
        "segments",
    ]
    looks = ["title", "higher_is_better", "decimals"]
    assert list(result) == ["metric", *looks, *numbers, "sha256"]
    assert (result["metric"], result["title"], result["n"], result["confidence"]) == (
        "chrf",
        "chrF++",
        2,
        0.95,
    )
    assert result["segments"][0] == 100 and 0 < result["segments"][1] < 100


def test_scores_what_was_read_from_the_output_not_the_raw_text(tmp_path):
    assert score(tmp_path, CHRF, rows=ROWS[:1])["value"] == 100


def test_the_language_reaches_the_metric(tmp_path):
    metric = {"kind": "bleu", "tokenize": "auto", "lowercase": False, "bootstrap": 100}
    assert "tok:zh" in score(tmp_path, metric, language="zh")["signature"]


def test_the_same_outputs_give_the_same_bytes(tmp_path):
    score(tmp_path, CHRF)
    first = (tmp_path / "score.json").read_bytes()
    score(tmp_path, CHRF)
    assert (tmp_path / "score.json").read_bytes() == first


def test_an_unknown_metric_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(NeftError, match=r"unknown metric 'chfr' \(did you mean 'chrf'\?\)"):
        score(tmp_path, {"kind": "chfr"})
