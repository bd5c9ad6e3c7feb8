"""`python -m neft …`: what a user sees, on success and on every mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import neft
from neft.__main__ import main
from neft.core.delta import KINDS, Delta, NeuronDelta
from neft.core.mask import NeuronMask
from neft.selection import similarity
from tiny import make_tiny_model

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
TOKENS = torch.arange(20).view(2, 10)


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def save_mask(folder: Path, path: Path, indices: dict[str, list[int]]) -> NeuronMask:
    mask = NeuronMask.from_indices(indices, load(folder))
    mask.save(path)
    return mask


@pytest.fixture
def delta(tiny_model: Path, tmp_path: Path) -> Path:
    """A trained delta on disk."""
    model = load(tiny_model)
    mask = NeuronMask.from_indices({UP: [0, 7, 9], DOWN: [3, 4]}, model)
    optimizer = torch.optim.AdamW(neft.attach(model, mask), lr=1e-2)
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    optimizer.step()
    NeuronDelta.of(model, mask.base_hash).save(tmp_path / "delta.safetensors")
    return tmp_path / "delta.safetensors"


def run(*words: str | Path) -> None:
    main([str(word) for word in words])


def mistake(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Run a command that must fail with one message; returns that."""
    with pytest.raises(SystemExit) as end:
        run(*words)
    message, out = end.value.code, capsys.readouterr().out
    assert isinstance(message, str) and message.startswith(
        "error: "
    )  # sys.exit(text): printed, exit status 1
    assert "\n" not in message and not out
    return message


def test_help_answers_without_torch_and_names_every_command() -> None:
    code = (
        "import sys, neft.__main__ as m\ntry: m.main(['--help'])\nfinally: assert 'torch' not in"
        " sys.modules"
    )
    folder = Path(neft.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert all(
        f"\n    {command} " in result.stdout
        for command in ("info", "merge", "diff", "export", "mask")
    )


def test_a_mistake_ends_with_status_1_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(b"no safetensors")
    folder = Path(neft.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-m", "neft", "info", str(tmp_path / "mask")],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr.startswith(f"error: {tmp_path}/mask: not a readable delta file")
        and result.stderr.count("\n") == 1
    )


def test_info_of_a_mask_counts_by_kind_and_layer(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = save_mask(tiny_model, tmp_path / "mask", {UP: [0, 7, 9], DOWN: [3]})
    run("info", tmp_path / "mask", "--base", tiny_model)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert (
        ["base", mask.base_hash] in lines
        and ["neurons", "4"] in lines
        and ["parameters", "128"] in lines
    )
    assert ["up_proj", "3", "64", "4.69%", "96"] in lines and [
        "layer",
        "1",
        "1",
        "64",
        "1.56%",
        "32",
    ] in lines


def test_info_of_a_delta_tells_its_size_and_with_the_base_how_far_it_moves(
    tiny_model: Path, delta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("info", delta)
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ["kind", "neurons"] in lines and ["base", neft.base_hash(tiny_model)] in lines
    assert ["file", f"{delta.stat().st_size:,}", "bytes"] in lines
    assert ["mlp.up_proj.weight", "1", "3", "96"] in lines and [
        "layer",
        "1",
        "1",
        "2",
        "64",
    ] in lines
    assert "change" not in text
    run("info", delta, "--base", tiny_model)
    after = [line.split() for line in capsys.readouterr().out.splitlines()]
    (change,) = [line for line in after if line[:1] == ["mlp.up_proj.weight"] and "e-" in line[-1]]
    assert change[1] == "96" and float(change[3]) == pytest.approx(
        1e-2, rel=0.02
    )  # AdamW's first step is the learning rate


@pytest.mark.parametrize("kind", ["lora", "tensors"])
def test_info_of_other_deltas(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    from peft import LoraConfig, get_peft_model

    model = load(tiny_model)
    if kind == "lora":
        model = get_peft_model(
            model, LoraConfig(r=4, target_modules=["up_proj"], task_type="CAUSAL_LM")
        )
    KINDS[kind].of(model, neft.base_hash(tiny_model)).save(tmp_path / "d")
    run("info", tmp_path / "d", "--base", tiny_model)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    numbers = "768" if kind == "lora" else "4,096"  # 2 layers x rank 4 x (32 + 64), or 2 x 32 x 64
    assert ["mlp.up_proj.weight", "2", "0", numbers] in lines and [
        "mlp.up_proj.weight",
        "0",
        "0.00e+00",
        "0.00e+00",
    ] in lines


def test_merge_diff_and_export_lead_to_the_same_model(
    tiny_model: Path, tmp_path: Path, delta: Path
) -> None:
    run("merge", tiny_model, delta, tmp_path / "merged")
    run("diff", tiny_model, tmp_path / "merged", tmp_path / "found.safetensors")
    run("export", tiny_model, delta, tmp_path / "adapter")
    first, second = Delta.load(delta), Delta.load(tmp_path / "found.safetensors")
    assert first.base_hash == second.base_hash and first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    adapted = PeftModel.from_pretrained(load(tiny_model), tmp_path / "adapter")
    with torch.no_grad():
        expected = load(tmp_path / "merged").eval()(TOKENS).logits
        torch.testing.assert_close(adapted.eval()(TOKENS).logits, expected, rtol=0, atol=1e-6)


def test_masks_combine_and_compare(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_mask(tiny_model, tmp_path / "a", {UP: [0, 7, 9]})
    save_mask(tiny_model, tmp_path / "b", {UP: [7, 9, 10], DOWN: [1]})
    save_mask(tiny_model, tmp_path / "c", {UP: [9]})
    run("mask", "union", tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "all")
    run("mask", "intersection", tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "common")
    everything, common = NeuronMask.load(tmp_path / "all"), NeuronMask.load(tmp_path / "common")
    assert everything.indices[UP].tolist() == [0, 7, 9, 10] and everything.indices[
        DOWN
    ].tolist() == [1]
    assert common.indices[UP].tolist() == [9] and common.count == 1
    capsys.readouterr()
    run("mask", "overlap", tmp_path / "a", tmp_path / "b")
    text = capsys.readouterr().out
    assert "3 and 4 of 128" in text and "shared                                      2\n" in text


def test_another_base_model_is_refused_by_every_command(
    tiny_model: Path, tmp_path: Path, delta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = make_tiny_model(tmp_path / "other", seed=3), tmp_path / "out"
    save_mask(tiny_model, tmp_path / "mask", {UP: [0]})
    save_mask(other, tmp_path / "others", {UP: [0]})
    for words in (
        ("merge", other, delta, out),
        ("export", other, delta, out),
        ("info", delta, "--base", other),
    ):
        assert "another base model" in mistake(capsys, *words)
    assert "another base model" in mistake(capsys, "info", tmp_path / "mask", "--base", other)
    for operation in (
        ("union", tmp_path / "mask", tmp_path / "others", out),
        ("overlap", tmp_path / "mask", tmp_path / "others"),
    ):
        assert "different base models" in mistake(capsys, "mask", *operation)
    assert not out.exists()


def test_truncated_changed_and_foreign_files_are_refused(
    tiny_model: Path, tmp_path: Path, delta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, bad, out = delta.read_bytes(), tmp_path / "bad.safetensors", tmp_path / "out"
    damages = {
        "not a readable delta file": content[: len(content) // 2],
        "damaged": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "found 'another safetensors file'": (tiny_model / "model.safetensors").read_bytes(),
    }
    for reason, damaged in damages.items():
        bad.write_bytes(damaged)
        for words in (
            ("info", bad),
            ("merge", tiny_model, bad, out),
            ("export", tiny_model, bad, out),
        ):
            message = mistake(capsys, *words)
            assert reason in message and str(bad) in message
    bad.write_bytes(content[:100])
    assert str(bad) in mistake(capsys, "mask", "union", bad, bad, out)
    assert str(tmp_path / "none") in mistake(capsys, "merge", tiny_model, tmp_path / "none", out)
    similarity.save_scores(bad, {UP: torch.zeros(64)}, {})
    assert "expected a mask or a delta, found 'scores'" in mistake(capsys, "info", bad)
    assert not out.exists()


def test_a_broken_base_model_is_refused(
    tmp_path: Path, delta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make_tiny_model(tmp_path / "base")
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert f"{weights}: not a whole safetensors file" in mistake(
        capsys, "merge", base, delta, tmp_path / "out"
    )
    assert "no-such" in mistake(capsys, "export", tmp_path / "no-such", delta, tmp_path / "out")
    base = make_tiny_model(tmp_path / "base")
    (base / "config.json").unlink()
    assert "no usable config.json" in mistake(capsys, "diff", base, base, tmp_path / "out")


def test_no_output_is_overwritten_unless_told(
    tiny_model: Path, tmp_path: Path, delta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask, merged = tmp_path / "mask", tmp_path / "merged"
    save_mask(tiny_model, mask, {UP: [0]})
    run("merge", tiny_model, delta, merged)
    commands = [
        ("merge", tiny_model, delta, tmp_path / "1"),
        ("export", tiny_model, delta, tmp_path / "2"),
        ("diff", tiny_model, merged, tmp_path / "3"),
        ("mask", "union", mask, mask, tmp_path / "4"),
        ("mask", "intersection", mask, mask, tmp_path / "5"),
    ]
    for words in commands:
        run(*words)
        before = sorted((path, path.stat().st_ino) for path in tmp_path.rglob("*"))
        capsys.readouterr()
        assert f"{words[-1]}: exists" in mistake(capsys, *words)
        assert sorted((path, path.stat().st_ino) for path in tmp_path.rglob("*")) == before
        run(*words, "--force")
    capsys.readouterr()
    assert (
        load_file(tmp_path / "1" / "model.safetensors").keys()
        == load_file(merged / "model.safetensors").keys()
    )
    assert "is or contains the base model" in mistake(
        capsys, "merge", tiny_model, delta, tiny_model, "--force"
    )
    assert f"{merged}: exists" in mistake(capsys, "diff", tiny_model, merged, merged, "--force")
