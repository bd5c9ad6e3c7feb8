"""Fetch files of one commit of a Hugging Face repository, through the hub's own cache.

Writes  <folder>/       the files that match, as in the repository
        <record>.json   {repo, revision, repo_type, files: {name: sha256}}

With HF_HUB_OFFLINE=1 nothing but the cache (HF_HUB_CACHE) is asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from neft.data.sources.hub import UNPINNED
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files, folders


class Spec(Strict):
    """What to fetch."""

    repo: str
    """`owner/name`."""
    revision: str
    """The commit, 40 hexadecimal digits."""
    repo_type: Literal["model", "dataset"]
    patterns: tuple[str, ...]
    """Which files: `*.json` …"""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--folder", required=True)
    arguments.add_argument("--record", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    found = download(spec)
    names = [
        name
        for name in folders.contents(found)
        if any(fnmatchcase(name, pattern) for pattern in spec.patterns)
    ]
    if not names:
        raise NeftError(f"{title(spec)}: no file matches {', '.join(spec.patterns)}")
    with folders.atomic(args.folder) as folder:
        for name in names:
            blob = (found / name).resolve()  # the cache's files are links to its blobs
            check(blob)
            folders.link(blob, folder / name)
        sums = folders.hashes(folder)
    record = {
        "repo": spec.repo,
        "revision": spec.revision,
        "repo_type": spec.repo_type,
        "files": sums,
    }
    files.write_json(args.record, record)


def download(spec: Spec) -> Path:
    """The snapshot in the cache, completed from the hub. Raises NeftError that says what to do."""
    if spec.revision == UNPINNED:
        raise NeftError(
            f"{spec.repo_type} {spec.repo}: `revision` is forty zeros, which stand for a"
            " commit that has yet to be filled in: put a repository that holds this corpus, and"
            " its commit, into the configuration (its comments say more)"
        )
    from huggingface_hub import get_session, snapshot_download
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    get_session().event_hooks["request"].append(limit)
    try:
        found = snapshot_download(
            spec.repo,
            repo_type=spec.repo_type,
            revision=spec.revision,
            allow_patterns=list(spec.patterns),
        )
    except GatedRepoError as error:
        raise NeftError(
            f"{title(spec)}: gated; accept its terms on the hub and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise NeftError(
            f"{title(spec)}: the repository has no such commit; see its history on the hub"
        ) from error
    except RepositoryNotFoundError as error:
        raise NeftError(
            f"{title(spec)}: no such repository, or a private one: check `repo`, or `hf auth login`"
        ) from error
    except (OSError, HTTPError) as error:  # no network, or not all files in the cache
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise NeftError(
            f"{title(spec)}: not in the cache and the hub can't be reached: {first}\nOn a machine"
            f" with a network run\n  hf download {spec.repo} --repo-type {spec.repo_type}"
            f" --revision {spec.revision}\nthen copy its cache here and set HF_HUB_CACHE to it,"
            " and HF_HUB_OFFLINE=1."
        ) from error
    return Path(found)


def limit(request: Any) -> None:
    """Wait for no answer longer than for a download's: the hub's client, which tries six times,
    waits for a list for ever.
    """
    from huggingface_hub import constants

    given = request.extensions["timeout"]
    request.extensions["timeout"] = {
        what: given[what] or constants.HF_HUB_DOWNLOAD_TIMEOUT for what in given
    }


def check(file: Path) -> None:
    """Raise NeftError if a file of the cache was changed: its name is the SHA-256 or, if small,
    git's hash of its content.
    """
    if re.fullmatch("[0-9a-f]{64}", file.name):
        found = files.sha256(file)
    elif re.fullmatch("[0-9a-f]{40}", file.name):
        content = file.read_bytes()
        found = hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()
    else:
        return
    if found != file.name:
        raise NeftError(
            f"{file}: damaged in the cache: its content doesn't have the hash that is its name;"
            " delete it and start again"
        )


def title(spec: Spec) -> str:
    return f"{spec.repo_type} {spec.repo} at {spec.revision[:12]}"


if __name__ == "__main__":
    run(main)
