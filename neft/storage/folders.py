"""Folders that are written whole or not at all, and what is in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neft.errors import NeftError
from neft.storage import files


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; put it in the place of `path` if the block ends well,
    remove it if not.
    """
    path = Path(path)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        temporary = (
            Path(scratch) / "new"
        )  # mkdtemp's own folder is closed to others; this one follows the umask
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(Path(scratch) / "old")
        temporary.rename(path)


def contents(folder: Path) -> list[str]:
    """Names of all files below a folder, relative to it, with forward slashes, sorted."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its name relative to it."""
    return {name: files.sha256(folder / name) for name in contents(folder)}


def check(folder: Path) -> None:
    """Raise NeftError, naming the file, if one of a folder isn't what the record beside it says;
    without a record nothing is.

    Reading a model's bytes once more costs little beside loading it, and a flipped bit would go
    through everything after it.
    """
    record = folder.with_name(f"{folder.name}.json")
    content = files.read_json(record) if record.is_file() else {}
    if isinstance(content, dict) and isinstance(content.get("files"), dict):
        for name, expected in content["files"].items():
            if not (folder / name).is_file() or files.sha256(folder / name) != expected:
                raise NeftError(
                    f"{folder / name}: damaged: not the file that {record} names; delete {folder}"
                    " and start again"
                )


def link(source: Path, target: Path) -> None:
    """Give a file a second name, without a second copy where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
