from __future__ import annotations

import json
import subprocess
import sys

import pytest

import tiny
from neft.scoring.metrics import chrf

REFERENCES = [target for _, target in tiny.pairs()][:30]
OUTPUTS = [text[:-3] if place % 2 else text for place, text in enumerate(REFERENCES)]


def spec(**options):
    return chrf.Spec(kind="chrf", **options)


def test_score_interval_and_signature_are_those_of_the_sacrebleu_command(tmp_path):
    (tmp_path / "outputs").write_text("\n".join(OUTPUTS) + "\n", encoding="utf-8")
    (tmp_path / "references").write_text("\n".join(REFERENCES) + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(tmp_path / "references"),
        "-i",
        str(tmp_path / "outputs"),
    ]
    options = [
        "-m",
        "chrf",
        "--chrf-word-order",
        "2",
        "--confidence",
        "--confidence-n",
        "200",
        "-w",
        "6",
    ]
    told = json.loads(
        subprocess.run([*command, *options], capture_output=True, text=True, check=True).stdout
    )
    ours = chrf.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=200), "fr")
    assert ours.value == pytest.approx(told["score"], abs=1e-5)
    assert (ours.low + ours.high) / 2 == pytest.approx(told["confidence_mean"], abs=1e-5)
    assert (ours.high - ours.low) / 2 == pytest.approx(told["confidence_var"], abs=1e-5)
    assert ours.signature == told["signature"]


def test_a_hand_computed_score():
    # Characters: precision 1, recall 2/3; pairs: precision 1, recall 1/2; longer n-grams the output
    # has none of.
    precision, recall = 1, (2 / 3 + 1 / 2) / 2
    expected = 100 * 5 * precision * recall / (4 * precision + recall)
    assert chrf.score(
        tiny.output_rows(["ab"], ["abc"]), spec(bootstrap=100, word_order=0), "fr"
    ).value == pytest.approx(expected)


def test_identical_text_scores_one_hundred_and_nothing_in_common_zero():
    assert (
        chrf.score(tiny.output_rows(REFERENCES, REFERENCES), spec(bootstrap=100), "fr").value == 100
    )
    assert chrf.score(tiny.output_rows(["xyz"], ["abcd"]), spec(bootstrap=100), "fr").value == 0


def test_the_default_is_chrf_plus_plus_and_the_signature_says_so():
    result = chrf.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(), "fr")
    assert {"nrefs:1", "bs:1000", "seed:12345", "nc:6", "nw:2"} <= set(result.signature.split("|"))
    assert chrf.title(spec()) == "chrF++"


def test_word_order_zero_is_chrf():
    assert (
        "nw:0"
        in chrf.score(
            tiny.output_rows(OUTPUTS, REFERENCES), spec(word_order=0, bootstrap=100), "fr"
        ).signature
    )
    assert chrf.title(spec(word_order=0)) == "chrF"


def test_the_language_plays_no_part():
    assert chrf.score(
        tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=100), "fr"
    ) == chrf.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=100), "zh")


def test_segments_are_in_the_order_of_the_outputs():
    segments = chrf.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=100), "fr").segments
    assert segments[0] == 100 and segments[1] < 100 and len(segments) == len(OUTPUTS)
