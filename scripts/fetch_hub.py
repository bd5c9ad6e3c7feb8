"""Fetch files of one commit of a Hugging Face repository, through the hub's own cache.

Writes  <folder>/       the files that match, as in the repository
        <record>.json   {repo, revision, repo_type, files: {name: sha256}}

--spec  {"repo": "owner/name", "revision": 40 hexadecimal digits, "repo_type": "model" or "dataset", "patterns": ["*.json", …]}

With HF_HUB_OFFLINE=1 nothing but the cache (HF_HUB_CACHE) is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from neft import files, folders
from neft.cli import parser, run
from neft.errors import NeftError
from neft.sources.hub import UNPINNED


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folder", required=True)
    arguments.add_argument("--record", required=True)
    args = arguments.parse_args(argv)

    spec = args.spec
    snapshot = download(spec)
    names = [name for name in folders.contents(snapshot) if any(fnmatchcase(name, pattern) for pattern in spec["patterns"])]
    if not names:
        raise NeftError(f"{title(spec)}: no file matches {', '.join(spec['patterns'])}")
    with folders.atomic(args.folder) as folder:
        for name in names:
            folders.link((snapshot / name).resolve(), folder / name)  # the cache's files are links to its blobs
        sums = folders.hashes(folder)
    record = {"repo": spec["repo"], "revision": spec["revision"], "repo_type": spec["repo_type"], "files": sums}
    files.write_json(args.record, record)


def download(spec: dict[str, Any]) -> Path:
    """The snapshot in the cache, completed from the hub. Raises NeftError that says what to do."""
    if spec["revision"] == UNPINNED:
        raise NeftError(
            f"{spec['repo_type']} {spec['repo']}: `revision` is forty zeros, which stand for a commit that has yet to be "
            "filled in: put a repository that holds this corpus, and its commit, into the configuration (its comments say more)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = snapshot_download(
            spec["repo"], repo_type=spec["repo_type"], revision=spec["revision"], allow_patterns=spec["patterns"]
        )
    except GatedRepoError as error:
        raise NeftError(f"{title(spec)}: gated; accept its terms on the hub and log in with `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise NeftError(f"{title(spec)}: the repository has no such commit; see its history on the hub") from error
    except RepositoryNotFoundError as error:
        raise NeftError(f"{title(spec)}: no such repository, or a private one: check `repo`, or `hf auth login`") from error
    except OSError as error:  # no network, or not all files in the cache
        raise NeftError(
            f"{title(spec)}: not in the cache and the hub can't be reached: {str(error).splitlines()[0]}\n"
            f"On a machine with a network run\n  hf download {spec['repo']} --repo-type {spec['repo_type']} "
            f"--revision {spec['revision']}\nthen copy its cache here and set HF_HUB_CACHE to it, and HF_HUB_OFFLINE=1."
        ) from error
    return Path(found)


def title(spec: dict[str, Any]) -> str:
    return f"{spec['repo_type']} {spec['repo']} at {spec['revision'][:12]}"


if __name__ == "__main__":
    run(main)
