"""A search that goes on beyond its grid, as Snakemake runs it."""

from __future__ import annotations

import copy
from pathlib import Path

from harness import SIDE_BY_SIDE, Workflow

from neft.storage.files import read_json

METHOD = "results/tiny/tune/tiny-llama/pairs/full/seed1"


def test_a_grid_goes_on_until_its_best_rate_is_bracketed_and_what_diverged_is_a_result(
    tiny_config, tmp_path: Path
) -> None:
    config = copy.deepcopy(tiny_config)
    # From a rate at which nothing is learned up to one at which numbers overflow.
    config["methods"]["full"]["learning_rate"] = [1.0e-4, 1.0e-2]
    config["search"] = {"extensions": 4}
    workflow = Workflow(tmp_path / "neft", config)
    target = f"{METHOD}/chosen/trials.json"
    workflow.snakemake(target, *SIDE_BY_SIDE)
    trials = {one["trial"]: one for one in read_json(workflow.folder / target)}
    assert list(trials)[:3] == ["lr0.0001", "lr0.01", "lr1"], "the best of two is at the upper edge"
    rounds = sorted((workflow.folder / METHOD / "search").glob("*.json"))
    assert len(rounds) == len(trials) - 2 + 1
    assert [read_json(path)["add"] for path in rounds] == [*list(trials)[2:], None]
    finite = {name: one["dev_loss"] for name, one in trials.items() if one["dev_loss"] is not None}
    (chosen,) = [name for name, one in trials.items() if one["chosen"]]
    assert finite[chosen] == min(finite.values())
    rates = sorted(one["learning_rate"] for one in trials.values())
    assert rates[0] < trials[chosen]["learning_rate"] < rates[-1]
    assert workflow.would_run(target) == set()

    # Fewer extensions: what was tried beyond them no longer counts.
    workflow.configure(config | {"search": {"extensions": 0}})
    assert workflow.would_run(target) == {"choose_trial full"}
