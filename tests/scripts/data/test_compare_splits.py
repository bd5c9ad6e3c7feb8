import json

from neft.storage import files
from scripts.data import compare_splits


def test_it_counts_test_rows_with_a_near_duplicate_in_train(tmp_path):
    train = ["open all files in a window", "save"]
    test = ["open all files in this window", "close all files in a window now", "Save…", "quit"]
    for name, sources in (("train", train), ("test", test)):
        rows = [{"id": n, "source": text, "target": "x"} for n, text in enumerate(sources)]
        files.write_rows(tmp_path / f"{name}.jsonl", rows)
    spec = json.dumps({"train": "translation", "test": "translation"})
    paths = [
        part
        for name in ("train", "test")
        for part in (f"--{name}", str(tmp_path / f"{name}.jsonl"))
    ]
    compare_splits.main(["--spec", spec, *paths, "--near", str(tmp_path / "near.json")])
    # 5 of 7 words, 5 of 8, all, none.
    assert files.read_json(tmp_path / "near.json") == {"rows": 4, "near": {"0.66": 2, "0.8": 1}}
