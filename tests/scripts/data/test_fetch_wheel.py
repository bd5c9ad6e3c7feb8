from __future__ import annotations

import hashlib
import json
import re

import pytest

import tiny
from neft.errors import NeftError
from scripts.data import fetch_wheel


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip takes wheels from instead of the network."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(tmp_path, **spec) -> None:
    paths = [
        "--file",
        str(tmp_path / "out" / "tiny-data.whl"),
        "--record",
        str(tmp_path / "out" / "tiny-data.json"),
    ]
    fetch_wheel.main(
        [
            "--spec",
            json.dumps({"package": "tiny-data", "version": "1.0", "distribution": "wheel", **spec}),
            *paths,
        ]
    )


def test_the_pinned_wheel_is_kept_with_a_record(tmp_path, shelf):
    wheel = tiny.write_wheel(shelf, "tiny-data", "1.0", {"tiny/a.tsv": b"en\tfr\n"})
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    fetch(tmp_path, sha256=sha256)
    assert (tmp_path / "out" / "tiny-data.whl").read_bytes() == wheel.read_bytes()
    assert json.loads((tmp_path / "out" / "tiny-data.json").read_text()) == {
        "package": "tiny-data",
        "version": "1.0",
        "file": "tiny_data-1.0-py3-none-any.whl",
        "sha256": sha256,
        "bytes": wheel.stat().st_size,
    }


def test_any_other_file_of_that_name_is_refused_and_not_kept(tmp_path, shelf):
    wheel = tiny.write_wheel(shelf, "tiny-data", "1.0", {"tiny/a.tsv": b"en\tfr\n"})
    found, pinned = hashlib.sha256(wheel.read_bytes()).hexdigest(), "0" * 64
    message = (
        f"tiny-data==1.0: refused, the wheel's sha256 is {found}, but the configuration pins"
        f" {pinned}; correct `sha256` only if you trust the new file"
    )
    with pytest.raises(NeftError, match=f"^{re.escape(message)}$"):
        fetch(tmp_path, sha256=pinned)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_package_the_message_says_what_to_do(tmp_path, shelf):
    with pytest.raises(NeftError) as error:
        fetch(tmp_path, sha256="0" * 64)
    first, *_, last = str(error.value).splitlines()
    assert first == "could not download tiny-data==1.0: pip said"
    assert "No matching distribution found for tiny-data==1.0" in str(error.value)
    assert (
        last
        == "Without a network here, run `pip download --no-deps tiny-data==1.0` where there is one,"
        " copy the wheel into a folder of this machine and set PIP_FIND_LINKS to that folder and"
        " PIP_NO_INDEX=1."
    )


EVIL = (
    b"import pathlib, sys; pathlib.Path(sys.argv[0]).with_name('ran').touch(); raise"
    b" SystemExit('this was run')"
)


@pytest.fixture
def sdist(tmp_path):
    """A package whose build script must never run."""
    members = {
        "tiny_data-1.0/setup.py": EVIL,
        "tiny_data-1.0/PKG-INFO": b"Name: tiny-data\n",
        "tiny_data-1.0/a.tsv": b"en\tfr\n",
    }
    (tmp_path / "made").mkdir()
    return tiny.write_tar(tmp_path / "made" / "tiny_data-1.0.tar.gz", members)


def test_an_sdist_is_kept_and_nothing_of_it_is_run(tmp_path, shelf, sdist):
    sdist.rename(shelf / sdist.name)
    sha256 = hashlib.sha256((shelf / sdist.name).read_bytes()).hexdigest()
    fetch(tmp_path, distribution="sdist", sha256=sha256)
    record = json.loads((tmp_path / "out" / "tiny-data.json").read_text())
    assert (record["file"], record["sha256"]) == ("tiny_data-1.0.tar.gz", sha256)
    assert not list(tmp_path.rglob("ran"))


def test_an_sdist_of_another_hash_is_refused_and_not_kept(tmp_path, shelf, sdist):
    sdist.rename(shelf / sdist.name)
    with pytest.raises(
        NeftError,
        match=(
            r"^tiny-data==1\.0: refused, the sdist's sha256 is [0-9a-f]{64}, but the configuration"
            r" pins 0"
        ),
    ):
        fetch(tmp_path, distribution="sdist", sha256="0" * 64)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_sdist_the_message_says_what_to_do(tmp_path, shelf):
    with pytest.raises(NeftError) as error:
        fetch(tmp_path, distribution="sdist", sha256="0" * 64)
    assert (
        str(error.value)
        == "could not download the sdist of tiny-data==1.0:\n  no index or folder that pip is set"
        " up with has one\nWithout a network here, download the file from the package's page"
        " where there is one, copy it into a folder of this machine and set PIP_FIND_LINKS to"
        " that folder and PIP_NO_INDEX=1."
    )
