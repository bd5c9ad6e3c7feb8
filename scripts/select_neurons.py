"""Pick the neurons to train.

Reads   MODEL_RECORD (JSON)          base_hash, parameters and neurons of the base model
        DISTANCES (safetensors)      per module float32 [neurons], for selectors that look at them
        MASKS (safetensors)          for selectors that combine masks
Writes  MASK (safetensors)           per module int32 [chosen], ascending, plus metadata
"""

from __future__ import annotations

from collections.abc import Sequence

from neft import neurons, plugins, selection
from neft.cli import parser, run
from neft.errors import NeftError
from neft.files import read_json


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--seed", type=int, default=0, help="the run's seed, for selectors that draw")
    arguments.add_argument("--model-record", required=True, help="record of the base model")
    arguments.add_argument("--distances", help="distances that compare_neurons wrote")
    arguments.add_argument("--masks", nargs="*", default=[], help="masks to combine")
    arguments.add_argument("--mask", required=True, help="file to write")
    args = arguments.parse_args(argv)

    from neft.mask import NeuronMask
    from neft.similarity import load_scores

    spec, record = args.spec, read_json(args.model_record)
    selector = plugins.load("selectors", spec["kind"])
    if "masks" in selector.READS:
        selector.combine([NeuronMask.load(path) for path in args.masks], spec).save(args.mask)
        return
    modules, axis = spec.get("modules", ["up_proj", "down_proj"]), spec.get("axis", "natural")
    sites = neurons.choose(neurons.sites_of(record), modules, axis, record["architecture"])
    budget = selection.budget(spec, sites, record["parameters"], record["architecture"])
    scores = {}
    if "distances" in selector.READS:
        if args.distances is None:
            raise NeftError(f"selector {spec['kind']}: needs --distances")
        distances = load_scores(args.distances)
        for key, site in sites.items():
            if key not in distances or len(distances[key]) != site.count:
                raise NeftError(f"{args.distances}: no {site.count:,} distances for {key}; compare_neurons must read {modules}")
            scores[key] = distances[key]
    chosen = selector.select(scores, {key: site.count for key, site in sites.items()}, budget, spec, args.seed)
    NeuronMask(
        indices=chosen,
        sites=sites,
        base_hash=record["base_hash"],
        hidden_size=record["hidden_size"],
        selector={**spec, "run_seed": args.seed},
        budget=budget,
    ).save(args.mask)


if __name__ == "__main__":
    run(main)
