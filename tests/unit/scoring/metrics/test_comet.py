from __future__ import annotations

import pytest
from pydantic import ValidationError

import tiny
from neft.scoring.metrics import comet

COMMIT = "a" * 40
LOCAL = {"checkpoint": "run/checkpoints/model.ckpt", "encoder": "xlmr"}


def spec(**options):
    return comet.Spec(kind="comet", **options)


def scored(values, encoder="XLM-RoBERTa", empty=0):
    scorer = {"signature": "comet:2.2.7|model:x|empty:0", "encoder": encoder, "empty": empty}
    rows = tiny.output_rows(["a"] * len(values), ["b"] * len(values))
    return [
        row | {"segment": value, "scorer": scorer} for row, value in zip(rows, values, strict=True)
    ]


def test_the_score_is_the_mean_times_100_and_may_leave_0_to_100():
    result = comet.score(scored([1.2, 1.0, -0.1]), spec(**LOCAL), "fr")
    assert result.value == pytest.approx(70) and result.segments == pytest.approx([120, 100, -10])
    assert (
        result.signature == "comet:2.2.7|model:x|empty:0|mean|bs:1000|seed:12345"
        and result.notes == []
    )


@pytest.mark.parametrize(
    "language", ["en", "fr", "zh", "hi", "bs", "zh-Hans", "fra", "zho_Hans", "EN", "nb"]
)
def test_languages_of_the_encoder_are_not_flagged(language):
    assert comet.score(scored([0.5]), spec(**LOCAL), language).notes == []


@pytest.mark.parametrize("language", ["mi", "mri", "mri_Latn"])
def test_languages_that_the_encoder_lacks_are_flagged(language):
    assert (
        f"not trained on the language {language}"
        in comet.score(scored([0.5]), spec(**LOCAL), language).notes[0]
    )
    assert comet.score(scored([0.5], encoder="RemBERT"), spec(**LOCAL), language).notes == []


def test_empty_outputs_are_counted_in_a_note():
    assert comet.score(scored([0.5, 0], empty=1), spec(**LOCAL), "fr").notes == [
        "1 of 2 outputs are empty and count as 0."
    ]


def test_what_is_fetched_and_what_must_lie_there():
    hub = spec(model="Unbabel/wmt22-comet-da", revision=COMMIT, encoder_revision="b" * 40)
    fetched = comet.fetch_specs(hub)
    assert fetched["metrics"]["patterns"] == ["checkpoints/model.ckpt", "hparams.yaml"]
    assert (fetched["encoders"]["repo"], fetched["encoders"]["revision"]) == (
        "FacebookAI/xlm-roberta-large",
        "b" * 40,
    )
    assert comet.local_paths(hub) == []
    assert comet.predict_spec(hub)["model"] == f"Unbabel/wmt22-comet-da@{COMMIT}"
    assert comet.fetch_specs(spec(**LOCAL)) == {}
    assert comet.local_paths(spec(**LOCAL)) == [
        "xlmr",
        "run/checkpoints/model.ckpt",
        "run/hparams.yaml",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either `model`"),
        ({"model": "a/b", "revision": COMMIT, "checkpoint": "x"}, "needs either `model`"),
        ({"model": "a/b"}, "belong together"),
        ({"checkpoint": "x", "revision": COMMIT}, "belong together"),
        ({"model": "a/b", "revision": "main"}, "revision"),
    ],
)
def test_a_block_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        spec(**options)
