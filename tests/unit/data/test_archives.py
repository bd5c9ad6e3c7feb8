"""Foreign archives: what is read, and what is refused."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

import tiny
from neft.data import archives
from neft.errors import NeftError


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


MEMBERS = {"a/two.txt": b"2", "a/one.txt": b"1", "a/other.json": b"{}"}


@pytest.mark.parametrize("suffix", ["zip", "whl", "tar.gz", "tar.bz2", "tar.xz"])
def test_matching_members_come_by_name_from_every_kind_of_archive(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    (write_zip if suffix in ("zip", "whl") else tiny.write_tar)(path, MEMBERS)
    assert list(archives.texts(path, "*.txt")) == [("a/one.txt", b"1"), ("a/two.txt", b"2")]


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "a\\..\\evil.txt"]
)
def test_a_name_that_leads_outside_is_refused_even_if_nobody_asks_for_it(tmp_path, suffix, name):
    path = tmp_path / f"a.{suffix}"
    (write_zip if suffix == "zip" else tiny.write_tar)(path, {name: b"x", "good.json": b"{}"})
    with pytest.raises(NeftError) as error:
        list(archives.texts(path, "*.json"))
    assert str(error.value) == f"{path}: refused, its member {name!r} points outside the archive"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_archive_is_refused(tmp_path, kind):
    link = tarfile.TarInfo("a/link.txt")
    link.type, link.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(link)
    with pytest.raises(NeftError, match=r"refused, its member 'a/link\.txt' is a link$"):
        list(archives.texts(tmp_path / "a.tar.gz", "*.txt"))


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_more_text_than_the_limit_is_refused(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(archives, "TEXT_LIMIT", 1000)
    path = tmp_path / f"bomb.{suffix}"
    (write_zip if suffix == "zip" else tiny.write_tar)(
        path, {"a.txt": bytes(600), "b.txt": bytes(600)}
    )
    assert path.stat().st_size < 600
    assert [len(content) for _, content in archives.texts(path, "a.txt")] == [600]
    with pytest.raises(NeftError, match=r"refused, it unpacks to more than 1,000 bytes$"):
        list(archives.texts(path, "*.txt"))


def test_what_is_only_passed_over_in_a_tar_archive_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LIMIT", 100_000)
    path = tiny.write_tar(tmp_path / "bomb.tar.gz", {"a.bin": bytes(1_000_000), "b.txt": b"x"})
    with pytest.raises(NeftError, match=r"refused, it unpacks to more than 100,000 bytes$"):
        list(archives.texts(path, "b.txt"))


def test_a_model_is_unpacked_under_a_name_of_ours(tmp_path):
    path = write_zip(tmp_path / "a.whl", {"pack/m.gguf": b"GGUF"})
    archives.unpack(path, "pack/m.gguf", tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == b"GGUF"


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz", "a.tar.xz"])
def test_what_is_no_archive_is_an_error_with_its_path(tmp_path, name):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(NeftError, match=f"^{tmp_path}/{name}: not readable as an archive: "):
        list(archives.texts(tmp_path / name, "*"))


def test_half_an_archive_is_an_error(tmp_path):
    whole = tiny.write_tar(tmp_path / "a.tar.gz", {"a.txt": bytes(range(256)) * 100})
    whole.write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(NeftError, match="not readable as an archive"):
        list(archives.texts(whole, "*.txt"))


def test_a_pattern_that_matches_nothing_says_what_there_is(tmp_path):
    path = tiny.write_tar(tmp_path / "a.tar.gz", MEMBERS)
    with pytest.raises(
        NeftError,
        match=(
            r"^a\.tar\.gz: nothing in it matches '\*\.po'; there are: a/one\.txt, a/other\.json,"
            r" a/two"
        ),
    ):
        list(archives.texts(path, "*.po"))


def test_a_damaged_member_is_an_error(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"hello hello hello"})
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(NeftError, match="not readable as an archive"):
        list(archives.texts(path, "a.txt"))


def test_reading_leaves_nothing_on_the_disk(tmp_path):
    path = tiny.write_tar(tmp_path / "a.tar.gz", MEMBERS)
    assert len(list(archives.texts(path, "*"))) == 3
    assert list(tmp_path.iterdir()) == [path]
