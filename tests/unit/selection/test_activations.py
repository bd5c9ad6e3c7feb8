"""Mean activations, against a pass over each row alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neft.core import neurons
from neft.models import runtime
from neft.selection import activations

ROWS = [
    {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
    {"input_ids": list(range(20, 60)), "labels": list(range(20, 60))},
    {"input_ids": [9, 8], "labels": [9, 8]},
]


@pytest.mark.parametrize("axis", ["natural", "row"])
def test_they_are_inputs_of_columns_and_outputs_of_rows(tiny_model: Path, axis, monkeypatch):
    monkeypatch.setattr(activations, "TOKENS_AT_ONCE", 50)  # padded with another row, or alone
    model, _ = runtime.load_model(tiny_model, "float32")
    sites = neurons.find(model, ("up_proj", "down_proj", "q_proj"), axis)
    found = activations.means(model, ROWS, sites)
    seen: dict[str, list[torch.Tensor]] = {key: [] for key in sites}
    for key, site in sites.items():
        model.get_submodule(site.module).register_forward_hook(
            lambda module, args, out, key=key, site=site: seen[key].append(
                (args[0] if site.dim else out)[0]
            )
        )
    with torch.no_grad():
        for row in ROWS:
            model(input_ids=torch.tensor([row["input_ids"]]))
    for key in sites:
        torch.testing.assert_close(found[key], torch.cat(seen[key]).abs().mean(0))


def test_no_hook_stays(tiny_model: Path):
    model, _ = runtime.load_model(tiny_model, "float32")
    sites = neurons.find(model, ("up_proj",))
    activations.means(model, ROWS, sites)
    assert not any(model.get_submodule(site.module)._forward_hooks for site in sites.values())
