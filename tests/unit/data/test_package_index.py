"""A real index: pages of links, served over HTTP and from a folder."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tiny
from neft.data import package_index
from neft.errors import NeftError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """The folder of an index with one package in two versions, and pip set up to use nothing
    else.
    """
    files, page = tmp_path / "files", tmp_path / "simple" / "tiny-data" / "index.html"
    files.mkdir()
    page.parent.mkdir(parents=True)
    links = ['<a href="../../files/tiny_data-1.0-py3-none-any.whl">a wheel</a>']
    for version in ("1.0", "1.0.1"):
        path = tiny.write_tar(files / f"tiny_data-{version}.tar.gz", {"a.txt": version.encode()})
        links.append(
            f'<a href="../../files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
        )
    page.write_text("<html><body>" + "\n".join(links) + "</body></html>")
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")  # the machine's own settings stay out
    monkeypatch.setattr(package_index, "TRIES", 1)
    return tmp_path / "simple"


def fetched(folder: Path, package: str = "Tiny.Data", version: str = "1.0") -> bytes:
    folder.mkdir()
    return package_index.download_sdist(package, version, "0" * 64, folder).read_bytes()


def test_an_index_over_http_gives_the_sdist_of_the_very_version(tmp_path, index, monkeypatch):
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        content = fetched(tmp_path / "out")
        with pytest.raises(
            NeftError, match=r"could not download the sdist of other==1\.0:\n  no index or folder"
        ):
            package_index.download_sdist("other", "1.0", "0" * 64, tmp_path)
        server.shutdown()
    assert content == (tmp_path / "files" / "tiny_data-1.0.tar.gz").read_bytes()


def test_an_index_may_be_a_folder(tmp_path, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    assert (
        fetched(tmp_path / "out", version="1.0.1")
        == (tmp_path / "files" / "tiny_data-1.0.1.tar.gz").read_bytes()
    )


def test_a_folder_of_files_is_enough(tmp_path, index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "files"))
    assert fetched(tmp_path / "out") == (tmp_path / "files" / "tiny_data-1.0.tar.gz").read_bytes()


def test_an_index_that_cannot_be_reached_is_named(tmp_path, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(
        NeftError,
        match=(
            r"could not download the sdist of tiny==1\.0:\n  http://127\.0\.0\.1:9/simple/tiny/: "
        ),
    ):
        package_index.download_sdist("tiny", "1.0", "0" * 64, tmp_path)
