"""The guards of predict_comet.py, which run without COMET; tests/workflow/test_comet.py scores with
a real model.
"""

from __future__ import annotations

import pytest

import tiny
from neft.errors import NeftError
from neft.storage import files
from scripts.score import predict_comet


def test_samples_leave_out_empty_outputs_and_keep_the_places_of_the_others():
    rows = tiny.output_rows(["Ouvrir", " ", "Fermer"], ["a", "b", "c"], ["x", "y", "z"])
    texts, places = predict_comet.samples(rows, "outputs.jsonl")
    assert places == [0, 2] and texts[1] == {"src": "z", "mt": "Fermer", "ref": "c"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": None}, "outputs.jsonl:2: output: expected text, got None"),
        ({"source": ""}, "outputs.jsonl:2: source: COMET needs a text here, got ''"),
        ({"reference": " "}, "outputs.jsonl:2: reference: COMET needs a text here"),
    ],
)
def test_what_comet_would_score_as_if_it_were_text_is_refused(change, message):
    good = tiny.output_rows(["a"], ["b"], ["c"])[0]
    with pytest.raises(NeftError, match=message):
        predict_comet.samples([good, good | change], "outputs.jsonl")


def test_an_empty_file_is_refused():
    with pytest.raises(NeftError, match="at least one output, got 0"):
        predict_comet.samples([], "outputs.jsonl")


def test_a_checkpoint_with_another_hash_than_the_trusted_one_is_refused(tmp_path):
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.write_bytes(b"weights")
    assert predict_comet.trusted(str(checkpoint), None) == files.sha256(checkpoint)
    with pytest.raises(NeftError, match="but the configuration trusts 00"):
        predict_comet.trusted(str(checkpoint), "0" * 64)
