"""Fingerprints change with the logic that a rule runs, and with nothing else."""

from __future__ import annotations

import pytest

from neft.workflow import fingerprint


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A script that imports one module, which imports another, beside one that nobody imports."""
    (tmp_path / "neft/training/methods").mkdir(parents=True)
    (tmp_path / "scripts/stage").mkdir(parents=True)
    (tmp_path / "scripts/stage/work.py").write_text(
        '"""Work."""\nfrom neft.first import f\n\nf()\n'
    )
    (tmp_path / "neft/first.py").write_text(
        "from neft import second\n\ndef f():\n    return second.g()\n"
    )
    (tmp_path / "neft/second.py").write_text(
        "class A:\n    x: int = 1\n    '''What x is.'''\n\ndef g():\n    return A.x\n"
    )
    (tmp_path / "neft/other.py").write_text("X = 1\n")
    (tmp_path / "neft/training/methods/lora.py").write_text("RANK = 8\n")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def current(*plugins):
        for cached in (fingerprint._tree, fingerprint._logic, fingerprint._imports):
            cached.cache_clear()
        return fingerprint.fingerprint("work", plugins)

    yield tmp_path, current
    for cached in (fingerprint._tree, fingerprint._logic, fingerprint._imports):
        cached.cache_clear()


def append(path, text):
    path.write_text(path.read_text() + text)


def test_logic_of_a_module_imported_by_an_imported_module_counts(tree):
    folder, current = tree
    before = current()
    append(folder / "neft/second.py", "\nY = 2\n")
    assert current() != before


def test_comments_docstrings_and_layout_do_not_count(tree):
    folder, current = tree
    before = current()
    append(folder / "neft/first.py", "\n\n# a comment\n")
    path = folder / "neft/second.py"
    path.write_text(
        path.read_text()
        .replace("What x is.", "What x really is.")
        .replace("x: int = 1", "x : int=1")
    )
    assert current() == before


def test_a_module_that_is_not_imported_does_not_count(tree):
    folder, current = tree
    before = current()
    append(folder / "neft/other.py", "\nY = 2\n")
    assert current() == before


def test_a_module_imported_for_annotations_alone_does_not_count(tree):
    folder, current = tree
    append(
        folder / "neft/first.py",
        "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neft import other\n",
    )
    before = current()
    append(folder / "neft/other.py", "\nY = 2\n")
    assert current() == before


def test_a_plug_in_counts_where_it_is_named(tree):
    folder, current = tree
    without, with_lora = current(), current("neft.training.methods.lora")
    append(folder / "neft/training/methods/lora.py", "\nALPHA = 16\n")
    assert current() == without
    assert current("neft.training.methods.lora") != with_lora


def test_a_string_that_is_a_value_counts(tree):
    folder, current = tree
    append(folder / "neft/first.py", '\nNAME = "a"\n')
    before = current()
    path = folder / "neft/first.py"
    path.write_text(path.read_text().replace('"a"', '"b"'))
    assert current() != before


def test_a_module_that_moves_keeps_the_fingerprint(tree):
    folder, current = tree
    before = current()
    (folder / "neft/room").mkdir()
    (folder / "neft/second.py").rename(folder / "neft/room/second.py")
    path = folder / "neft/first.py"
    path.write_text(
        path.read_text().replace("from neft import second", "from neft.room import second")
    )
    assert current() == before
    append(folder / "neft/room/second.py", "\nY = 2\n")
    assert current() != before
