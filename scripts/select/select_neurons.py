"""Pick the neurons to train.

Reads   MODEL_RECORD (JSON)          base_hash, parameters and neurons of the base model
        what the selector looks at   distances, norms, gradients (per module float32 [neurons]), states, weights or masks; a
                                     union that is topped up takes one file for each part that reads it, in the parts' order
Writes  MASK (safetensors)           per module int32 [chosen], ascending, plus metadata
        RECORD (JSON)                {sha256, base_hash, selector, budget, neurons, parameters, by_kind, by_layer, report}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.script import parser, run
from neft.storage.files import read_json, write_json


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
    arguments.add_argument("--model-record", required=True, help="record of the base model")
    arguments.add_argument(
        "--distances", nargs="*", default=[], help="how far neurons turned, by compare_neurons"
    )
    arguments.add_argument(
        "--norms", nargs="*", default=[], help="how far neurons moved, by compare_neurons"
    )
    arguments.add_argument(
        "--gradients", nargs="*", default=[], help="sums of gradients, by sum_gradients"
    )
    arguments.add_argument(
        "--states", nargs="*", default=[], help="mean hidden states, by read_states"
    )
    arguments.add_argument("--weights", nargs="*", default=[], help="directory of the base model")
    arguments.add_argument(
        "--masks", nargs="*", default=[], help="masks to combine, or the one to take"
    )
    arguments.add_argument("--mask", required=True, help="file to write")
    arguments.add_argument("--record", required=True, help="file to write: the mask in numbers")
    args = arguments.parse_args(argv)

    from neft.selection import build_mask

    supply = build_mask.Supply({what: getattr(args, what) for what in build_mask.FILES})
    spec: Spec = args.spec
    request = build_mask.Request(spec.mask, spec.parts)
    mask, report = build_mask.select(request, read_json(args.model_record), supply, args.seed)
    mask.save(args.mask)
    write_json(args.record, build_mask.describe(mask, report))


if __name__ == "__main__":
    run(main)
