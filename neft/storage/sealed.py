"""Small safetensors files of our own that notice when they were truncated or changed: masks,
deltas, similarities.

The metadata is one JSON text under one key (safetensors writes several in any order, and files must
be the same byte for byte) with the format's name and version and a SHA-256 over everything in the
file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neft.errors import NeftError
from neft.storage.files import atomic, parse_json

VERSION = 1
KEY = "neft"


def digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes in the order of names, and the metadata."""
    state = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def save(
    path: str | Path, what: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write a file of the format `what` ("mask", "delta", …), atomically."""
    # Separate memory for each: safetensors refuses views that share storage.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    body = {"format": what, "version": VERSION, **metadata}
    text = json.dumps({**body, "sha256": digest(plain, body)})
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata={KEY: text})


def format_of(path: str | Path) -> str | None:
    """The format ("mask", "delta", …) that a file says it has; None if it isn't one of ours, whole
    or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            body = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError):
        return None
    return str(body["format"]) if isinstance(body, dict) and "format" in body else None


def load(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of the format `what`: its tensors and its metadata.

    Raises NeftError, naming the file, if it can't be read, is of another format or version, or
    isn't what was written.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise NeftError(f"{path}: not a readable {what} file: {error}") from error
    try:
        body = parse_json(text or "{}")
        if body.get("format") != what:
            raise NeftError(
                f"{path}: expected a neft {what} file, found"
                f" {body.get('format', 'another safetensors file')!r}"
            )
        if body["version"] != VERSION:
            raise NeftError(
                f"{path}: {what} format version {body['version']}, this neft reads version"
                f" {VERSION}"
            )
        expected = body.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise NeftError(f"{path}: the metadata of this {what} file is damaged: {error}") from error
    if digest(tensors, body) != expected:
        raise NeftError(
            f"{path}: damaged: its content doesn't have the hash that was written with it"
        )
    return tensors, {key: value for key, value in body.items() if key not in ("format", "version")}
