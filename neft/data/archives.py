"""Reading members of a published archive: wheels and .zip; .tar.gz, .tar.bz2 and .tar.xz.

An archive is foreign. One with a name that leads outside it, or with a link among what is asked
for, is refused, and so is one that unpacks to more than the limits below: kilobytes can unpack to
terabytes. No member's name becomes a path on the disk.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from neft.errors import NeftError

TEXT_LIMIT = 1 << 30
"""Most bytes of text that are unpacked into memory: 1 GiB."""
LIMIT = 1 << 34
"""Most bytes of a whole archive, or of one model in it, that are unpacked: 16 GiB."""
TAR: dict[str, Callable[..., Any]] = {
    ".tar.gz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    lzma.LZMAError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)

Member = tuple[str, int, IO[bytes]]


def texts(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Pairs (name, content) of the members whose names match (`*` matches slashes too), by name.

    Raises NeftError if nothing matches, or if the archive is broken or refused.
    """
    found, left = {}, TEXT_LIMIT
    with _read(path):
        for name, size, file in _members(path, pattern):
            if size > left:
                raise _too_much(path, TEXT_LIMIT)
            found[name] = file.read()
            left -= size
    yield from sorted(found.items())


def unpack(path: Path, pattern: str, target: Path) -> None:
    """Write the one member of this name (or, if several match, the last) to `target`. Raises
    NeftError like `texts`.
    """
    with _read(path):
        for _, size, file in _members(path, pattern):
            if size > LIMIT:
                raise _too_much(path, LIMIT)
            with target.open("wb") as unpacked:
                shutil.copyfileobj(file, unpacked, 1 << 20)


@contextmanager
def _read(path: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise NeftError(f"{path}: not readable as an archive: {error}") from error


def _members(path: Path, pattern: str) -> Iterator[Member]:
    """Matching members, with the bytes that each unpacks to at most, in the archive's order; each
    is to be read at once.
    """
    names: list[str] = []
    any_matches = False
    is_tar = path.name.endswith(tuple(TAR))
    for name, size, file in _tar(path, pattern) if is_tar else _zip(path, pattern):
        if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name:
            raise NeftError(f"{path}: refused, its member {name!r} points outside the archive")
        names.append(name)
        if file is not None:
            any_matches = True
            yield name, size, file
    if not any_matches:
        some = ", ".join(sorted(names)[:20]) + (" …" if len(names) > 20 else "")
        raise NeftError(f"{path.name}: nothing in it matches '{pattern}'; there are: {some}")


def _zip(path: Path, pattern: str) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if fnmatchcase(info.filename, pattern) and not info.is_dir():
                with archive.open(info) as file:  # gives no more bytes than the archive declares
                    yield info.filename, info.file_size, file
            else:
                yield info.filename, 0, None


def _tar(path: Path, pattern: str) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """One pass: a tar archive is compressed as a whole, so that going back would unpack it again
    from its start.
    """
    opened = next(opener for suffix, opener in TAR.items() if path.name.endswith(suffix))
    with (
        opened(path, "rb") as file,
        tarfile.open(fileobj=cast(Any, _Limited(file, path)), mode="r|") as archive,
    ):
        for info in archive:
            matches = fnmatchcase(info.name, pattern)
            if matches and (info.issym() or info.islnk()):
                raise NeftError(f"{path}: refused, its member {info.name!r} is a link")
            yield (
                info.name,
                info.size,
                archive.extractfile(info) if matches and info.isfile() else None,
            )


class _Limited:
    """A stream that refuses to unpack more than `LIMIT` bytes in all: also what is passed over is
    unpacked.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path, self.left = file, path, LIMIT

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise _too_much(self.path, LIMIT)
        return content


def _too_much(path: Path, limit: int) -> NeftError:
    return NeftError(f"{path}: refused, it unpacks to more than {limit:,} bytes")
