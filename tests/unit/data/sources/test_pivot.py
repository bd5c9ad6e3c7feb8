from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from neft.data import records
from neft.data.sources import pivot
from neft.data.tasks import translation

FRENCH = [
    ("", "Open", "Ouvrir"),
    ("state", "Open", "Ouvert"),
    ("", "Close", "Fermer"),
    ("", "Save", "Enregistrer"),
]
CHINESE = [
    ("state", "Open", "已打开"),
    ("", "Save", "保存"),
    ("", "Open", "打开"),
    ("", "Save", "储存"),
    ("", "Undo", "撤消"),
    ("", "Close", ""),
]


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    names = ("context", "en", "text")
    path.write_text(
        "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows),
        encoding="utf-8",
    )
    return path


def block(left: Path | list[Path], right: Path, columns: dict[str, str]) -> pivot.Spec:
    part = {"kind": "files", "columns": columns}
    paths = [str(path) for path in (left if isinstance(left, list) else [left])]
    return pivot.Spec.model_validate(
        {
            "kind": "pivot",
            "left": part | {"paths": paths},
            "right": part | {"paths": str(right)},
        }
    )


def join(tmp_path, **columns: str) -> tuple[list[tuple[str, str]], dict]:
    left, right = write(tmp_path / "fr.jsonl", FRENCH), write(tmp_path / "zh.jsonl", CHINESE)
    found, counts = records.read(
        block(left, right, {"pivot": "en", **columns}), [left, right], [1, 1], translation
    )
    return [(row["source"], row["target"]) for row in found], counts


def test_texts_meet_where_message_and_context_are_the_same(tmp_path):
    pairs, counts = join(tmp_path, context="context")
    assert pairs == [("Ouvrir", "打开"), ("Ouvert", "已打开"), ("Enregistrer", "保存")]
    assert counts == {
        "left": {"read": 4, "empty": 0, "duplicate": 0, "unmatched": 1},
        "right": {"read": 6, "empty": 1, "duplicate": 1, "unmatched": 1},
    }


def test_without_context_the_first_of_like_messages_counts(tmp_path):
    pairs, counts = join(tmp_path)
    assert pairs == [("Ouvrir", "已打开"), ("Enregistrer", "保存")]
    assert (counts["left"]["duplicate"], counts["right"]["duplicate"]) == (1, 2)


def test_the_text_between_must_be_the_same_letter_for_letter(tmp_path):
    left, right = (
        write(tmp_path / "a.jsonl", [("", "Open", "x")]),
        write(tmp_path / "b.jsonl", [("", "open", "y")]),
    )
    found, _ = records.read(block(left, right, {"pivot": "en"}), [left, right], [1, 1], translation)
    assert found == []


def test_numbers_can_join_as_the_sentence_ids_of_flores_do(tmp_path):
    for name, texts in (("fr", ["un", "deux"]), ("zh", ["一", "二"])):
        rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    left, right = tmp_path / "fr.jsonl", tmp_path / "zh.jsonl"
    found, _ = records.read(block(left, right, {"pivot": "id"}), [left, right], [1, 1], translation)
    assert found == [{"source": "un", "target": "一"}, {"source": "deux", "target": "二"}]


def test_parts_of_several_files_keep_to_their_files(tmp_path):
    a, b = write(tmp_path / "a.jsonl", FRENCH[:2]), write(tmp_path / "b.jsonl", FRENCH[2:])
    right = write(tmp_path / "zh.jsonl", CHINESE)
    spec = block([a, b], right, {"pivot": "en", "context": "context"})
    assert len(records.read(spec, [a, b, right], [2, 1], translation)[0]) == 3


def test_a_context_on_one_side_only_is_refused():
    part = {"kind": "files", "paths": "a.tsv"}
    with pytest.raises(ValidationError, match="must either both name `context` or neither"):
        pivot.Spec.model_validate(
            {
                "kind": "pivot",
                "left": part | {"columns": {"context": "c"}},
                "right": part | {"columns": {"pivot": "en"}},
            }
        )


def test_a_join_is_not_made_of_joins():
    part = {"kind": "files", "paths": "a.tsv"}
    inner = {"kind": "pivot", "left": part, "right": part}
    with pytest.raises(
        ValidationError, match="does not match any of the expected tags: 'files', 'hub', 'wheel'"
    ):
        pivot.Spec.model_validate({"kind": "pivot", "left": inner, "right": part})
