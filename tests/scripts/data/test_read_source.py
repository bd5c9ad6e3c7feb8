from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from neft.errors import NeftError
from neft.storage import files
from scripts.data import read_source

TASK = "translation"


def read(tmp_path, paths, source: dict, seed: int | None = 1, **options) -> tuple[list[dict], dict]:
    spec = {"source": source, "shares": [len(paths)], "task": TASK, "filter": options, "seed": seed}
    out = ["--pool", str(tmp_path / "pool.jsonl"), "--counts", str(tmp_path / "counts.json")]
    read_source.main(["--spec", json.dumps(spec), "--paths", *map(str, paths), *out])
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    return rows, json.loads((tmp_path / "counts.json").read_text())


def test_a_users_table_becomes_a_pool(tmp_path, tiny_pairs):
    source = {
        "kind": "files",
        "paths": str(tiny_pairs),
        "columns": {"source": "en", "target": "fr"},
    }
    rows, counts = read(tmp_path, [tiny_pairs], source, min_words=4)
    assert {(row["source"], row["target"]) for row in rows} == {
        pair for pair in tiny.pairs() if len(pair[0].split()) >= 4
    }
    assert [row["id"] for row in rows] == list(range(len(rows)))
    assert list(rows[0]) == ["id", "source", "target"]
    assert (counts["read"], counts["kept"], counts["dropped"]["too short"]) == (60, 30, 30)


def test_a_catalog_in_a_wheel_becomes_a_pool(tmp_path):
    catalog = {
        "": {"language": "fr"},
        "menu\x04Open the file": ["Ouvrir le fichier"],
        "Open the file…": ["Ouvrir…"],
        "Zoom": [""],
    }
    wheel = tiny.write_wheel(
        tmp_path, "pack", "1.0", {"pack/fr.json": json.dumps(catalog).encode()}
    )
    source = {
        "kind": "wheel",
        "package": "pack",
        "version": "1.0",
        "sha256": "0" * 64,
        "format": "json-catalog",
        "members": "*.json",
    }
    rows, counts = read(tmp_path, [wheel], source)
    assert rows == [{"id": 0, "source": "Open the file", "target": "Ouvrir le fichier"}]
    assert counts["dropped"] | {"empty": 1, "duplicate": 1} == counts["dropped"]


def test_a_fetched_hub_dataset_becomes_a_pool(tmp_path, tiny_pairs):
    source = {"kind": "hub", "repo": "org/pairs", "revision": "a" * 40, "files": ["*.tsv"]}
    source["columns"] = {"source": "en", "target": "fr"}
    rows, _ = read(tmp_path, [tiny_pairs.parent], source)
    assert len(rows) == 60


def test_the_same_input_gives_the_same_bytes(tmp_path, tiny_rows):
    source = {"kind": "files", "paths": [str(tiny_rows)]}
    read(tmp_path, [tiny_rows], source)
    first = (tmp_path / "pool.jsonl").read_bytes()
    read(tmp_path, [tiny_rows], source)
    assert (tmp_path / "pool.jsonl").read_bytes() == first
    read(tmp_path, [tiny_rows], source, seed=2)
    assert (tmp_path / "pool.jsonl").read_bytes() != first


def test_a_missing_column_is_named_and_nothing_is_written(tmp_path, tiny_pairs):
    source = {
        "kind": "files",
        "paths": str(tiny_pairs),
        "columns": {"source": "en", "target": "de"},
    }
    with pytest.raises(NeftError, match=f"^{tiny_pairs}:2: no column 'de'; there are: en, fr$"):
        read(tmp_path, [tiny_pairs], source)
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_a_task_can_do_without_may_be_absent_unless_it_is_named(tmp_path):
    table = tmp_path / "orders.jsonl"
    table.write_text('{"instruction": "Count to two.", "output": "1, 2"}\n')
    out = ["--pool", str(tmp_path / "pool.jsonl"), "--counts", str(tmp_path / "counts.json")]

    def spec(**columns: str) -> str:
        source = {"kind": "files", "paths": str(table), "columns": columns}
        return json.dumps(
            {
                "source": source,
                "shares": [1],
                "task": "instruction",
                "filter": {},
                "seed": 1,
            }
        )

    read_source.main(["--spec", spec(), "--paths", str(table), *out])
    (row,) = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert row == {"id": 0, "instruction": "Count to two.", "input": "", "output": "1, 2"}
    with pytest.raises(NeftError, match="no column 'context'"):
        read_source.main(["--spec", spec(input="context"), "--paths", str(table), *out])


def test_a_filter_that_leaves_nothing_is_an_error(tmp_path, tiny_rows):
    with pytest.raises(NeftError) as error:
        read(tmp_path, [tiny_rows], {"kind": "files", "paths": str(tiny_rows)}, min_words=100)
    assert (
        str(error.value) == f"{tiny_rows}: of 60 rows none is left: 60 too short; loosen `filter`"
    )


def test_a_join_becomes_a_pool_and_its_parts_are_counted(tmp_path, tiny_pairs):
    part = {"kind": "files", "paths": str(tiny_pairs)}
    left = part | {"columns": {"pivot": "en", "text": "fr"}}
    right = part | {"columns": {"pivot": "en", "text": "en"}}
    spec = {
        "source": {"kind": "pivot", "left": left, "right": right},
        "shares": [1, 1],
        "task": TASK,
        "filter": {},
        "seed": 1,
    }
    out = ["--pool", str(tmp_path / "pool.jsonl"), "--counts", str(tmp_path / "counts.json")]
    read_source.main(
        ["--spec", json.dumps(spec), "--paths", str(tiny_pairs), str(tiny_pairs), *out]
    )
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert {(row["target"], row["source"]) for row in rows} == set(tiny.pairs())
    part_counts = {"read": 60, "empty": 0, "duplicate": 0, "unmatched": 0}
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert (counts["kept"], counts["made_of"]) == (60, {"left": part_counts, "right": part_counts})


def test_a_published_test_set_stays_whole_and_in_its_order(tmp_path):
    texts = ["Yes.", "yes", "No", "Yes."]
    (tmp_path / "test.en").write_text("\n".join(texts) + "\n")
    (tmp_path / "test.fr").write_text("\n".join(f"{n}" for n in range(4)) + "\n")
    paths = {"source": str(tmp_path / "test.en"), "target": str(tmp_path / "test.fr")}
    source = {"kind": "files", "paths": paths}
    rows, counts = read(
        tmp_path, [*map(Path, paths.values())], source, seed=None, drop_duplicates=False
    )
    assert [(row["id"], row["source"]) for row in rows] == list(enumerate(texts))
    assert counts["kept"] == counts["read"] == 4


def test_chats_are_kept_as_json_and_a_bad_one_is_named_with_its_line(tmp_path):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    data = tmp_path / "chats.jsonl"
    spec = json.dumps(
        {
            "source": {"kind": "files", "paths": str(data)},
            "shares": [1],
            "task": "chat",
            "filter": {},
            "seed": 1,
        }
    )
    out = ["--pool", str(tmp_path / "pool.jsonl"), "--counts", str(tmp_path / "counts.json")]
    lines = [json.dumps({"messages": chat}), json.dumps({"messages": None})]
    data.write_text("\n".join(lines) + "\n")
    read_source.main(["--spec", spec, "--paths", str(data), *out])
    (row,) = files.read_rows(tmp_path / "pool.jsonl")
    assert json.loads(row["messages"]) == chat
    data.write_text("\n".join([*lines, json.dumps({"messages": chat[:1]})]) + "\n")
    with pytest.raises(NeftError, match=r"chats\.jsonl:3: messages: a chat needs .* got user"):
        read_source.main(["--spec", spec, "--paths", str(data), *out])


def test_a_source_that_makes_its_own_rows_is_given_no_path(tmp_path, monkeypatch):
    from neft.data.sources import files

    made = [(f"row {n}", {"en": f"word {n}", "fr": f"mot {n}"}) for n in range(3)]
    monkeypatch.setattr(files, "rows", lambda spec, paths: iter(made) if not paths else None)
    source = {"kind": "files", "paths": "x.csv", "columns": {"source": "en", "target": "fr"}}
    rows, counts = read(tmp_path, [], source)
    assert {row["source"] for row in rows} == {"word 0", "word 1", "word 2"}
    assert counts["kept"] == 3


def test_near_duplicates_follow_each_other_as_one_group(tmp_path):
    table = tmp_path / "pairs.csv"
    lines = ["en,fr"]
    for n in range(20):
        lines += [
            f"open file number {n} in a new window,x",
            f"open file number {n} in new window,y",
        ]
    table.write_text("\n".join(lines) + "\n")
    source = {"kind": "files", "paths": str(table), "columns": {"source": "en", "target": "fr"}}
    spec = {"source": source, "shares": [1], "task": TASK, "filter": {}, "seed": 1}
    out = ["--pool", str(tmp_path / "pool.jsonl"), "--counts", str(tmp_path / "counts.json")]
    spec["near_duplicates"] = 0.87  # with another number 6 of 10 words are the same
    read_source.main(["--spec", json.dumps(spec), "--paths", str(table), *out])
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert [row["group"] for row in rows[::2]] == [row["group"] for row in rows[1::2]]
    assert len({row["group"] for row in rows}) == 20
