"""How strongly does every neuron of the base model answer to the train rows?

Reads   MODEL/                       the base model; model.json, its record {base_hash, …}
        train.jsonl                  rows to read
Writes  ACTIVATIONS (safetensors)    per module float32 [neurons]: mean |activation| over the tokens of prompts and answers
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from neft import plugins
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """Which neurons, and how rows are read."""

    task: Annotated[Any, plugins.block("tasks")]
    modules: tuple[str, ...]
    """The kinds of modules whose neurons count."""
    axis: Literal["natural", "row"]
    max_length: int
    """Tokens of prompt and answer together; longer rows are left out."""
    precision: str
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--model", required=True, help="base model, a Hugging Face directory")
    arguments.add_argument("--model-record", required=True, help="its record, with the base hash")
    arguments.add_argument("--train", required=True, help="rows to read")
    arguments.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments.add_argument("--activations", required=True, help="file to write")
    args = arguments.parse_args(argv)

    from neft.core import neurons
    from neft.data import encode
    from neft.models import runtime
    from neft.selection import activations
    from neft.selection.similarity import save_scores

    spec: Spec = args.spec
    device = runtime.start(args.threads)
    model, tokenizer = runtime.load_model(
        args.model, spec.precision, spec.trust_remote_code, device
    )
    task, stops = plugins.load("tasks", spec.task.kind), encode.stop_tokens(model, tokenizer)
    examples, _ = encode.examples(
        tokenizer, files.read_rows(args.train), task, spec.task, stops, spec.max_length
    )
    if not examples:
        raise NeftError(f"{args.train}: no row of at most {spec.max_length} tokens")
    sites = neurons.find(model, spec.modules, spec.axis)
    about = {
        "base_hash": files.read_json(args.model_record)["base_hash"],
        "axis": spec.axis,
        "rows": len(examples),
    }
    save_scores(args.activations, activations.means(model, examples, sites), about)


if __name__ == "__main__":
    run(main)
