"""Score outputs with a COMET model, segment by segment. Runs in COMET's own environment
(envs/comet.txt).

Reads   outputs.jsonl    rows {id, source, reference, output, …}
        <checkpoint>     a Lightning checkpoint, and `hparams.yaml` in the folder above its own
        <encoder>/       configuration and tokenizer of its encoder, as a Hugging Face directory
Writes  segments.json    {signature, model, sha256, comet, encoder, n, empty, segments: one value a row, on the model's scale}

--spec  {"model": "owner/name@commit" or null, "sha256": of a checkpoint that is trusted, or null, "batch_size": 16}
        a plain object, since pydantic is not in this environment

Nothing is fetched. A checkpoint is a pickle: unless its hash is given, it is loaded as numbers
only, and one that holds more is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neft.errors import NeftError
from neft.script import parser, run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument("--checkpoint", required=True)
    arguments.add_argument("--encoder", required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--segments", required=True)
    args = arguments.parse_args(argv)

    spec = args.spec
    rows = files.read_rows(args.outputs)
    texts, places = samples(rows, args.outputs)
    digest = trusted(args.checkpoint, spec["sha256"])
    values = [0.0] * len(rows)
    from importlib.metadata import version

    import torch

    torch.set_num_threads(args.threads)
    model = load(Path(args.checkpoint), args.encoder, trust=spec["sha256"] is not None)
    if texts:
        gpus = min(1, torch.cuda.device_count())
        found = model.predict(
            texts, batch_size=spec["batch_size"], gpus=gpus, num_workers=0, progress_bar=False
        )
        for place, value in zip(places, found.scores, strict=True):
            values[place] = float(value)
    name = spec["model"] or f"sha256:{digest[:12]}"
    comet = version("unbabel-comet")
    head = {
        "signature": f"comet:{comet}|model:{name}|empty:0",
        "model": name,
        "sha256": digest,
        "comet": comet,
    }
    encoder = str(model.hparams.encoder_model)
    empty = len(rows) - len(texts)
    files.write_json(
        args.segments,
        {**head, "encoder": encoder, "n": len(rows), "empty": empty, "segments": values},
    )


def samples(rows: list[dict[str, Any]], path: str) -> tuple[list[dict[str, str]], list[int]]:
    """What COMET reads, and the places of these rows: all but those without an output, which no
    model was trained to judge.

    COMET itself turns None into "None" and scores nothing at all like a perfect translation. Raises
    NeftError for an empty file, for what is no text, and for a source or reference without one.
    """
    if not rows:
        raise NeftError(f"{path}: scoring needs at least one output, got 0")
    texts, places = [], []
    for number, row in enumerate(rows, start=1):
        for key in ("source", "output", "reference"):
            if not isinstance(row.get(key), str):
                raise NeftError(f"{path}:{number}: {key}: expected text, got {row.get(key)!r}")
            if key != "output" and not row[key].strip():
                raise NeftError(
                    f"{path}:{number}: {key}: COMET needs a text here, got {row[key]!r}"
                )
        if row["output"].strip():
            texts.append({"src": row["source"], "mt": row["output"], "ref": row["reference"]})
            places.append(number - 1)
    return texts, places


def trusted(checkpoint: str, expected: str | None) -> str:
    """The SHA-256 of a checkpoint. Raises NeftError if it is not the one that the configuration
    trusts.
    """
    digest = files.sha256(checkpoint)
    if expected is not None and digest != expected:
        raise NeftError(
            f"{checkpoint}: its SHA-256 is {digest}, but the configuration trusts {expected}"
        )
    return digest


def load(checkpoint: Path, encoder: str, trust: bool) -> Any:
    """Load a COMET model as `comet.load_from_checkpoint` does, but with its encoder's settings and
    tokenizer from a folder.

    trust: let the checkpoint unpickle any object, which can run code. Raises NeftError if the model
    can't be loaded whole.
    """
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = (
        "0" if trust else "1"
    )  # Lightning offers no other way to say it
    from pickle import UnpicklingError  # what torch raises; nothing is unpickled here

    import torch
    import yaml
    from comet.models import str2model

    settings = checkpoint.parents[1] / "hparams.yaml"
    if not settings.is_file():
        raise NeftError(f"{checkpoint}: there is no {settings}; COMET writes it when it trains")
    hparams = yaml.safe_load(settings.read_text(encoding="utf-8"))
    if hparams.get("class_identifier") not in str2model:
        raise NeftError(
            f"{settings}: class_identifier is {hparams.get('class_identifier')!r}; known:"
            f" {', '.join(str2model)}"
        )

    model_class: Any = str2model[hparams["class_identifier"]]

    class Whole(model_class):  # type: ignore[misc]
        def on_load_checkpoint(self, saved: dict[str, Any]) -> None:
            """Lightning would leave what the checkpoint lacks at random."""
            missing = [
                name for name, _ in self.named_parameters() if name not in saved["state_dict"]
            ]
            if missing:
                raise NeftError(
                    f"{checkpoint}: no weights for {missing[0]} and {len(missing) - 1} others; is"
                    f" {encoder} its encoder?"
                )

    options: dict[str, Any] = {
        "pretrained_model": encoder,
        "load_pretrained_weights": False,
        "local_files_only": True,
    }
    if hparams.get("layer_transformation") == "sparsemax_patch":
        options["layer_transformation"] = (
            "softmax"  # as COMET does: such models were trained with it
        )
    try:
        return Whole.load_from_checkpoint(
            checkpoint, map_location=torch.device("cpu"), strict=False, **options
        )
    except UnpicklingError as error:
        raise NeftError(
            f"{checkpoint}: holds more than numbers, and loading that can run code. If you trust"
            f" where it comes from, add `sha256: {files.sha256(checkpoint)}` to the"
            f" metric.\n{str(error).splitlines()[0]}"
        ) from error
    except (OSError, RuntimeError) as error:
        raise NeftError(
            f"{checkpoint} with the encoder {encoder}: {str(error).splitlines()[0]}"
        ) from error


if __name__ == "__main__":
    run(main)
