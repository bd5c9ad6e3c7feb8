from __future__ import annotations

import hashlib

import pytest

from neft.storage import folders


def test_a_folder_appears_whole(tmp_path):
    with folders.atomic(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_new_folder_replaces_all_of_the_old_one(tmp_path):
    for name in ("old", "new"):
        with folders.atomic(tmp_path / "out") as folder:
            (folder / name).write_text("")
    assert folders.contents(tmp_path) == ["out/new"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    with folders.atomic(tmp_path / "out") as folder:
        (folder / "old").write_text("")
    with pytest.raises(RuntimeError), folders.atomic(tmp_path / "out") as folder:
        (folder / "new").write_text("")
        raise RuntimeError
    assert folders.contents(tmp_path) == ["out/old"]


def test_a_folder_is_as_open_as_any_other(tmp_path):
    (tmp_path / "plain").mkdir()
    with folders.atomic(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_hashes_name_files_below_the_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"x")
    assert folders.hashes(tmp_path / "a") == {"b/c": hashlib.sha256(b"x").hexdigest()}
