"""Pick the neurons to train.

Reads   MODEL/                       the base model; its record {base_hash, parameters, neurons, …}
        what the selector looks at   numbers of neurons (per module float32 [neurons]), states or masks; a union that is topped
                                     up takes one file for each part that reads it, in the parts' order
Writes  MASK (safetensors)           per module int32 [chosen], ascending, plus metadata
        RECORD (JSON)                {sha256, base_hash, selector, budget, neurons, parameters, by_kind, by_layer, report;
                                     of a ranking explained: {norm, layer, module}, ties: {tied, taken}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.script import parser, run
from neft.storage.files import read_json, write_json

READS = {
    "distances": "how far neurons turned, by compare_neurons",
    "references": "how far they turned in a control's probe",
    "norms": "how far neurons moved, by compare_neurons",
    "gradients": "sums of gradients, by sum_gradients",
    "activations": "mean activations, by read_activations",
    "states": "mean hidden states, by read_states",
    "masks": "masks to combine, or the one to take",
}


class Spec(Strict):
    """The mask's settings."""

    mask: Annotated[Any, plugins.block("selectors")]
    parts: tuple[Annotated[Any, plugins.block("selectors")], ...] = ()
    """Of a union that is topped up those of its parts."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument(
        "--seed", type=int, default=0, help="the run's seed, for selectors that draw"
    )
    arguments.add_argument("--model", required=True, help="directory of the base model")
    arguments.add_argument("--model-record", required=True, help="its record")
    for name, what in READS.items():
        arguments.add_argument(f"--{name}", nargs="*", default=[], help=what)
    arguments.add_argument("--mask", required=True, help="file to write")
    arguments.add_argument("--record", required=True, help="file to write: the mask in numbers")
    args = arguments.parse_args(argv)

    from neft.models.checkpoint import Checkpoint
    from neft.selection import build_mask

    spec: Spec = args.spec
    found = build_mask.select(
        build_mask.Request(spec.mask, spec.parts),
        build_mask.Model(read_json(args.model_record), Checkpoint(args.model)),
        build_mask.Supply({what: getattr(args, what) for what in build_mask.FILES}),
        args.seed,
    )
    found.mask.save(args.mask)
    write_json(args.record, build_mask.describe(found))


if __name__ == "__main__":
    run(main)
