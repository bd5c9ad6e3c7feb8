"""Files merged on top of each other: what counts, and which line a message names."""

from __future__ import annotations

from pathlib import Path

import pytest

from neft.config import loader, overlay
from neft.errors import NeftError

ROOT = Path(__file__).resolve().parents[3]


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_key_written_twice_is_refused_with_both_lines(tmp_path):
    file = write(tmp_path, "mine.yaml", "name: a\nmasks:\n  x: {kind: random}\n  x: {kind: norm}\n")
    with pytest.raises(NeftError, match=r"mine\.yaml:4: x: written twice \(first in line 3\)"):
        overlay.read([file])


def test_mappings_are_merged_and_all_else_is_replaced(tmp_path):
    below = write(tmp_path, "a.yaml", "seeds: [1, 2]\nprobe: {steps: 12, keep: true}\n")
    above = write(tmp_path, "b.yaml", "seeds: [3]\nprobe: {steps: 1}\n")
    assert overlay.read([below, above]).values == {
        "seeds": [3],
        "probe": {"steps": 1, "keep": True},
    }
    assert overlay.read([below, above], {"seeds": [4]}).values["seeds"] == [4]


def test_a_block_whose_kind_changes_starts_empty(tmp_path):
    below = write(tmp_path, "a.yaml", "methods: {x: {kind: lora, rank: 4, learning_rate: 1.0}}\n")
    above = write(tmp_path, "b.yaml", "methods: {x: {kind: full, learning_rate: 2.0}}\n")
    assert overlay.read([below, above]).values["methods"]["x"] == {
        "kind": "full",
        "learning_rate": 2.0,
    }


def test_neurons_replace_a_fraction_and_the_other_way_round(tmp_path):
    below = write(tmp_path, "a.yaml", "masks: {x: {kind: random, fraction: 0.09}}\n")
    above = write(tmp_path, "b.yaml", "masks: {x: {neurons: 10}}\n")
    assert overlay.read([below, above]).values["masks"]["x"] == {"kind": "random", "neurons": 10}
    assert overlay.read([above, below]).values["masks"]["x"] == {"kind": "random", "fraction": 0.09}


def message(tmp_path: Path, text: str, options: dict[str, object] | None = None) -> str:
    file = write(tmp_path, "mine.yaml", text)
    layers = overlay.read([ROOT / "config.yaml", file], options)
    with pytest.raises(NeftError) as error:
        loader.load(layers.values, layers)
    return str(error.value)


def test_a_mistake_names_the_file_and_the_line_it_is_in(tmp_path):
    said = message(tmp_path, "name: mine\nprobe:\n  steps: -3\n")
    assert said.startswith("mine.yaml:3: probe.steps: ")


def test_a_mistake_that_only_the_whole_shows_names_its_file_too(tmp_path):
    said = message(tmp_path, "name: mine\nmethods:\n  neft: {mask: nowhere}\n")
    assert said.startswith("mine.yaml:3: methods.neft.mask: ")


def test_a_mistake_below_the_overlay_names_the_file_below(tmp_path):
    layers = overlay.read([ROOT / "config.yaml"])
    layers.values["datasets"]["ui-en-fr"]["splits"]["train"] = -1
    with pytest.raises(NeftError, match=r"^config\.yaml:\d+: datasets\.ui-en-fr\.splits\.train"):
        loader.load(layers.values, layers)


def test_a_mistake_of_the_command_line_says_so(tmp_path):
    assert message(tmp_path, "name: mine\n", {"seeds": [0]}).startswith("--config: seeds.0: ")


def test_what_is_no_mapping_is_refused_by_name(tmp_path):
    with pytest.raises(NeftError, match="expected keys and values"):
        overlay.read([write(tmp_path, "mine.yaml", "- a\n")])
