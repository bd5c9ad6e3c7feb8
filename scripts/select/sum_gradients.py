"""How large is each neuron's gradient at the start, over a few batches?

Reads   MODEL/                     the base model; model.json, its record {base_hash, …}
        train.jsonl                rows to take batches from
Writes  GRADIENTS (safetensors)    per module float32 [neurons]: a statistic of the gradient, summed over weights and batches
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
    """Whose gradients, of which loss, over how many rows."""

    task: Annotated[Any, plugins.block("tasks")]
    modules: tuple[str, ...]
    """The kinds of modules whose neurons count."""
    axis: Literal["natural", "row"]
    statistic: str = "absolute"
    """A key of `neft.selection.gradients.STATISTICS`."""
    batches: int
    batch_size: int
    max_length: int
    """Tokens of prompt and answer together; longer rows are left out."""
    precision: str
    seed: int
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--model", required=True, help="base model, a Hugging Face directory")
    arguments.add_argument("--model-record", required=True, help="its record, with the base hash")
    arguments.add_argument("--train", required=True, help="rows to take batches from")
    arguments.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments.add_argument("--gradients", required=True, help="file to write")
    args = arguments.parse_args(argv)

    import torch

    from neft.core import neurons
    from neft.data import encode
    from neft.models import runtime
    from neft.selection import gradients
    from neft.selection.similarity import save_scores

    spec: Spec = args.spec
    device = runtime.start(args.threads)
    model, tokenizer = runtime.load_model(args.model, "float32", spec.trust_remote_code)
    task, stops = plugins.load("tasks", spec.task.kind), encode.stop_tokens(model, tokenizer)
    examples, _ = encode.examples(
        tokenizer, files.read_rows(args.train), task, spec.task, stops, spec.max_length
    )
    if not examples:
        raise NeftError(f"{args.train}: no row of at most {spec.max_length} tokens")
    torch.manual_seed(spec.seed)  # for dropout, where a model has any
    sums = gradients.sums(
        model,
        examples,
        neurons.find(model, spec.modules, spec.axis),
        batches=spec.batches,
        batch_size=spec.batch_size,
        seed=spec.seed,
        precision=runtime.training_precision(spec.precision, device),
        device=device,
        statistic=spec.statistic,
    )
    about = {
        "base_hash": files.read_json(args.model_record)["base_hash"],
        "axis": spec.axis,
        "batches": spec.batches,
        "statistic": spec.statistic,
    }
    save_scores(args.gradients, sums, about)


if __name__ == "__main__":
    run(main)
