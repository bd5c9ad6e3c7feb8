"""The library's page is a program: its Python blocks run in order, then its commands."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel

from neft.__main__ import main
from neft.core.delta import Delta

PAGE = Path(__file__).parents[1] / "docs" / "library.md"


def blocks(language: str) -> list[tuple[int, str]]:
    """The page's blocks of a language, each with the number of its first line."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


def test_every_block_of_the_library_page_runs(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for line, code in blocks("python"):
        # Empty lines in front, so that a traceback names the page's own line.
        exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), names)
    assert names["mask"].parameters == pytest.approx(
        0.03 * names["model"].num_parameters(), rel=0.05
    )
    assert names["trainer"].state.global_step == 4 and list(Path("checkpoints").iterdir())
    assert isinstance(names["adapted"], PeftModel)
    first, again = (Delta.load(f"{name}.safetensors").parameters for name in ("delta", "again"))
    assert 0 < again <= first

    commands = [
        line
        for _, block in blocks("bash")
        for line in block.splitlines()
        if line.startswith("neft ")
    ]
    assert len(commands) >= 8
    for command in commands:
        main(shlex.split(command, comments=True)[1:])
    assert (
        Path("adapter-again", "adapter_config.json").exists()
        and Path("difference.safetensors").exists()
    )
