from __future__ import annotations

import json

import pytest

from neft.errors import NeftError
from scripts.data import split_dataset


def split(tmp_path, pool, name: str, **sizes: int) -> list[dict]:
    spec = {"split": name, "sizes": sizes}
    split_dataset.main(
        ["--spec", json.dumps(spec), "--pool", str(pool), "--rows", str(tmp_path / f"{name}.jsonl")]
    )
    return [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]


def test_the_three_splits_share_no_row(tmp_path, tiny_rows):
    test = split(tmp_path, tiny_rows, "test", test=10, reserved=50)
    dev = split(tmp_path, tiny_rows, "dev", dev=10, train=40)
    train = split(tmp_path, tiny_rows, "train", train=40)
    assert [row["id"] for row in test + dev + train] == list(range(60))
    assert test[0] == {"id": 0, "source": "Open the file", "target": "Ouvrir le fichier"}


def test_more_rows_than_there_are_is_one_error(tmp_path, tiny_rows):
    with pytest.raises(NeftError) as error:
        split(tmp_path, tiny_rows, "test", test=11, reserved=50)
    what = "60 rows, but 11 test + 50 reserved = 61 are asked for"
    assert str(error.value) == f"{tiny_rows}: {what}; ask for fewer in `splits` or loosen `filter`"
