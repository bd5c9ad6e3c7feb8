"""Mean hidden states: those of each prompt alone, in any batch, and whole on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from neft.errors import NeftError
from neft.selection import states
from neft.selection.states import States


def test_a_mean_is_over_the_prompts_own_tokens_whatever_the_batch(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    prompts = [[5, 6, 7], [8, 9], [10, 11, 12, 13, 14, 15], [16]]
    for tokens in (4096, 7, 1):
        monkeypatch.setattr(states, "TOKENS_AT_ONCE", tokens)
        found = states.means(model, prompts)
        assert len(found) == 2
        for number, prompt in enumerate(prompts):
            hidden = model(
                input_ids=torch.tensor([prompt]), output_hidden_states=True
            ).hidden_states[1:]
            for mean, layer in zip(found, hidden, strict=True):
                torch.testing.assert_close(
                    mean[number], layer[0].mean(0).detach(), rtol=1e-4, atol=1e-6
                )


def test_states_survive_the_disk_and_damage_is_noticed(tmp_path: Path) -> None:
    classes = {
        "train": torch.tensor([0, 1], dtype=torch.int32),
        "dev": torch.tensor([1], dtype=torch.int32),
    }
    means = {
        "train": [torch.randn(2, 4) for _ in range(11)],
        "dev": [torch.randn(1, 4) for _ in range(11)],
    }
    States(["no", "yes"], classes, means).save(tmp_path / "states", {"base_hash": "b"})
    loaded = States.load(tmp_path / "states")
    assert loaded.choices == ["no", "yes"] and torch.equal(
        loaded.classes["train"], classes["train"]
    )
    assert all(
        torch.equal(a, b)
        for split in means
        for a, b in zip(loaded.means[split], means[split], strict=True)
    )
    content = (tmp_path / "states").read_bytes()
    (tmp_path / "states").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(NeftError, match="damaged"):
        States.load(tmp_path / "states")
