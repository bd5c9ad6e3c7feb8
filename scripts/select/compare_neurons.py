"""How far did each neuron turn and move in the probe?

Reads   BASE/, TUNED/              Hugging Face directories of the base model and the briefly fine-tuned one
Writes  DISTANCES (safetensors)    per module float32 [neurons]: ‖û−v̂‖²/2, 0 unmoved … 2 reversed
        NORMS (safetensors)        per module float32 [neurons]: ‖v−u‖
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from neft.schema import Strict
from neft.script import parser, run


class Spec(Strict):
    """Which neurons are compared."""

    modules: tuple[str, ...]
    """The kinds of modules whose neurons are compared."""
    axis: Literal["natural", "row"]
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--base", required=True, help="directory of the base model")
    arguments.add_argument("--tuned", required=True, help="directory of the fine-tuned model")
    arguments.add_argument("--distances", required=True, help="file to write")
    arguments.add_argument("--norms", required=True, help="file to write")
    args = arguments.parse_args(argv)

    import torch

    from neft.models import identity
    from neft.selection import similarity
    from neft.storage import folders

    folders.check(Path(args.base))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    spec: Spec = args.spec
    trust = spec.trust_remote_code
    moved = similarity.movements(args.base, args.tuned, spec.modules, spec.axis, device, trust)
    about = {"base_hash": identity.base_hash(args.base, trust), "axis": spec.axis}
    similarity.save_scores(args.distances, {key: one.distance for key, one in moved.items()}, about)
    similarity.save_scores(args.norms, {key: one.norm for key, one in moved.items()}, about)


if __name__ == "__main__":
    run(main)
