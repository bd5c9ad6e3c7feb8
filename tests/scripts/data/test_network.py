"""What the fetching scripts do while a network fails: a real server that refuses, hangs, breaks
off, or comes back.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import tiny

SCRIPTS = Path(__file__).parents[3] / "scripts/data"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Server:
    """Serves `pages` by path. The first `failures` requests are cut off; `hangs` seconds pass
    before any answer.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[dict[str, str], bytes]] = {}
        self.failures, self.hangs, self.requests = 0, 0.0, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                time.sleep(server.hangs)
                if server.requests <= server.failures:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                headers, content = server.pages.get(self.path, ({}, None))
                self.send_response(200 if content is not None else 404)
                for name, value in {**headers, "Content-Length": str(len(content or b""))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content or b"")

            do_HEAD = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    result = Server()
    yield result
    result.http.shutdown()
    result.http.server_close()


def nowhere() -> str:
    """An address that refuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def fetch(
    tmp_path: Path, script: str, spec: dict[str, Any], *options: str, **environment: str
) -> tuple[int, str, float]:
    """Run a fetching script as the workflow does; its exit status, what it said, and the
    seconds.
    """
    began = time.monotonic()
    result = subprocess.run(
        [
            sys.executable,
            SCRIPTS / f"{script}.py",
            "--spec",
            json.dumps(spec),
            *options,
            "--record",
            tmp_path / "out.json",
        ],
        env={key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "HF_"))}
        | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return result.returncode, result.stderr, time.monotonic() - began


def fetch_wheel(
    tmp_path: Path, index: str, distribution: str = "wheel", sha256: str = "0" * 64
) -> tuple[int, str, float]:
    spec = {
        "package": "tiny-data",
        "version": "1.0",
        "distribution": distribution,
        "sha256": sha256,
    }
    environment = {
        "PIP_INDEX_URL": f"{index}/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DEFAULT_TIMEOUT": "0.5",
    }
    return fetch(tmp_path, "fetch_wheel", spec, "--file", str(tmp_path / "out.whl"), **environment)


def fetch_hub(tmp_path: Path, endpoint: str) -> tuple[int, str, float]:
    spec = {"repo": "org/data", "revision": REVISION, "repo_type": "dataset", "patterns": ["*.tsv"]}
    environment = {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
    }
    return fetch(
        tmp_path,
        "fetch_hub",
        spec,
        "--folder",
        str(tmp_path / "out"),
        HF_HUB_DOWNLOAD_TIMEOUT="1",
        **environment,
    )


@pytest.mark.parametrize("distribution", ["wheel", "sdist"])
def test_a_package_index_that_breaks_off_is_asked_again(distribution, server, tmp_path):
    if distribution == "wheel":
        file = tiny.write_wheel(tmp_path, "tiny-data", "1.0", {"a.tsv": b"en\tfr\n"})
    else:
        file = tiny.write_tar(
            tmp_path / "tiny_data-1.0.tar.gz", {"tiny_data-1.0/a.tsv": b"en\tfr\n"}
        )
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    page = f'<a href="/files/{file.name}#sha256={sha256}">{file.name}</a>'.encode()
    server.pages = {
        "/simple/tiny-data/": ({"Content-Type": "text/html"}, page),
        f"/files/{file.name}": ({}, file.read_bytes()),
    }
    server.failures = 2
    status, said, _ = fetch_wheel(tmp_path, server.address, distribution, sha256)
    assert status == 0, said
    assert (tmp_path / "out.whl").read_bytes() == file.read_bytes()
    assert server.requests > 2


@pytest.mark.slow
@pytest.mark.parametrize(("distribution", "fault"), [("wheel", "hangs"), ("sdist", "refuses")])
def test_a_package_index_that_refuses_or_hangs_ends_with_what_to_do(
    fault, distribution, server, tmp_path
):
    server.hangs = 20
    status, said, seconds = fetch_wheel(
        tmp_path, nowhere() if fault == "refuses" else server.address, distribution
    )
    assert status == 1
    assert "error: could not download" in said and "tiny-data==1.0" in said
    assert "set PIP_FIND_LINKS to that folder and PIP_NO_INDEX=1" in said
    assert "Traceback" not in said
    assert seconds < 60
    assert not (tmp_path / "out.whl").exists()


def hub_pages(content: bytes) -> dict[str, tuple[dict[str, str], bytes]]:
    """A repository with one file, as the hub's API and downloads show it."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    tree = [{"type": "file", "path": "a.tsv", "size": len(content), "oid": blob}]
    about = {"ETag": f'"{blob}"', "X-Repo-Commit": REVISION}
    listing = f"/api/datasets/org/data/tree/{REVISION}?recursive=true&expand=false"
    return {
        listing: ({"Content-Type": "application/json"}, json.dumps(tree).encode()),
        f"/datasets/org/data/resolve/{REVISION}/a.tsv": (about, content),
    }


def test_a_hub_that_breaks_off_is_asked_again_and_what_it_gave_is_checked(server, tmp_path):
    server.pages, server.failures = hub_pages(b"en\tfr\n"), 1
    status, said, _ = fetch_hub(tmp_path, server.address)
    assert status == 0, said
    assert (tmp_path / "out/a.tsv").read_bytes() == b"en\tfr\n"

    blob = next((tmp_path / "cache/datasets--org--data/blobs").iterdir())
    blob.write_bytes(b"en\tfR\n")
    status, said, _ = fetch_hub(tmp_path, server.address)
    assert status == 1
    assert f"error: {blob}: damaged in the cache" in said and "delete it and start again" in said
    blob.unlink()
    assert fetch_hub(tmp_path, server.address)[0] == 0


@pytest.mark.slow
def test_a_hub_that_hangs_ends_with_what_to_do(server, tmp_path):
    server.hangs = 600
    status, said, seconds = fetch_hub(tmp_path, server.address)
    assert status == 1
    assert (
        "error: dataset org/data at 0123456789ab: not in the cache and the hub can't be reached"
        in said
    )
    assert "hf download org/data --repo-type dataset" in said and "HF_HUB_OFFLINE=1" in said
    assert "Traceback" not in said
    assert seconds < 90
