"""Download of an sdist without pip, which would run the package's own build script just to download
its source.

Indexes, folders of files and certificates are those that pip is set up with (`pip config list`: its
files and variables). An index's page is a list of links (PEP 503). What is behind them is checked
by the caller's hash, so they need not be trusted.
"""

from __future__ import annotations

import ast
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.request import url2pathname, urlopen

from neft import progress
from neft.errors import NeftError

Result = TypeVar("Result")
TRIES = 4
CHUNK = 1 << 20


def download_sdist(package: str, version: str, sha256: str, folder: Path) -> Path:
    """Fetch the .tar.gz of one version into a folder; of several that one whose link names this
    SHA-256.

    The file's own hash is not checked. Raises NeftError, with the reasons, if no index or folder
    has it or can be reached.
    """
    pip = _pip_settings()
    links, failures = [], []
    for page in _pages(pip, package):
        try:
            links += [link for link in _links(page, pip) if _is_sdist(link, package, version)]
        except OSError as error:  # HTTPError and timeouts are
            failures.append(f"  {page}: {error}")
    if not links:
        reasons = "\n".join(failures) or "  no index or folder that pip is set up with has one"
        raise NeftError(f"could not download the sdist of {package}=={version}:\n{reasons}")
    url = urldefrag(
        next((link for link in links if link.endswith(f"#sha256={sha256}")), links[0])
    ).url
    target = folder / Path(urlsplit(url).path).name
    try:
        _save(url, target, pip, f"downloading {package}=={version}")
    except OSError as error:
        raise NeftError(
            f"could not download the sdist of {package}=={version}:\n  {url}: {error}"
        ) from error
    return target


def _pip_settings() -> dict[str, str]:
    """What pip is set up with, by option: a variable wins over the files, and their section
    [download] over [global].
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.partition("=") for line in lines if "=" in line]
    settings = {}
    for section in ("global", "download", ":env:"):
        for name, _, value in found:
            where, _, option = name.rpartition(".")
            if where == section:
                settings[option] = str(ast.literal_eval(value))
    return settings


def _pages(pip: dict[str, str], package: str) -> list[str]:
    """Folders and pages with links to files: --find-links first, then the package's page of every
    index.
    """
    pages = [
        Path(place).absolute().as_uri() if Path(place).is_dir() else place
        for place in pip.get("find-links", "").split()
    ]
    if pip.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        from pip._internal.models.index import PyPI  # pip's own default

        indexes = [pip.get("index-url", PyPI.simple_url), *pip.get("extra-index-url", "").split()]
        pages += [f"{index.rstrip('/')}/{_plain(package)}/" for index in indexes]
    return pages


def _links(page: str, pip: dict[str, str]) -> list[str]:
    """What a page or folder links to, as absolute addresses. A page that isn't there has none:
    another index may have it.
    """
    if page.startswith("file:"):
        place = Path(url2pathname(urlsplit(page).path))
        if not (place / "index.html").exists():
            return sorted(path.as_uri() for path in place.glob("*"))
        page = (place / "index.html").as_uri()
    anchors = _Anchors()
    try:
        anchors.feed(_open(page, pip).decode("utf-8", errors="replace"))
    except HTTPError as error:
        if error.code != 404:
            raise
    return [urljoin(page, link) for link in anchors.links]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _is_sdist(link: str, package: str, version: str) -> bool:
    name = Path(urlsplit(link).path).name
    return name.endswith(".tar.gz") and _plain(name.removesuffix(".tar.gz")) == _plain(
        f"{package}-{version}"
    )


def _plain(name: str) -> str:
    """A name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _open(url: str, pip: dict[str, str]) -> bytes:
    def read() -> bytes:
        with urlopen(url, timeout=_timeout(pip), context=_certificates(url, pip)) as answer:
            return bytes(answer.read())

    return _persistently(read)


def _save(url: str, target: Path, pip: dict[str, str], what: str) -> None:
    def save() -> None:
        with (
            urlopen(url, timeout=_timeout(pip), context=_certificates(url, pip)) as answer,
            target.open("wb") as file,
        ):
            total = int(answer.headers.get("Content-Length") or 0)
            with progress.bar(total // CHUNK, what, "MB") as bar:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    bar.update()

    _persistently(save)


def _persistently(ask: Callable[[], Result]) -> Result:
    """What `ask` gives, at the fourth try at the latest; a plain no (a page that isn't there) is
    not asked again.
    """
    for attempt in range(TRIES):
        try:
            return ask()
        except (OSError, HTTPException) as error:
            if attempt == TRIES - 1 or (isinstance(error, HTTPError) and error.code < 500):
                raise (
                    error if isinstance(error, OSError) else ConnectionError(str(error))
                ) from error
            time.sleep(2**attempt)
    raise AssertionError


def _timeout(pip: dict[str, str]) -> float:
    return float(pip.get("default-timeout", pip.get("timeout", "15")))


def _certificates(url: str, pip: dict[str, str]) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=pip.get("cert")) if url.startswith("https:") else None
