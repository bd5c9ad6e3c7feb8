"""The house keeps its shape: imports run one way between the packages, and no folder grows beyond
what one looks over.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from neft.plugins import FAMILIES

ROOT = Path(__file__).parents[1]
# A package may import those above it in this list, and the root's modules; not even an annotation may need another.
FLOORS = (
    "storage",
    "data",
    "models",
    "core",
    "training",
    "selection",
    "generation",
    "scoring",
    "analysis",
    "results",
    "reporting",
    "paper",
    "config",
    "workflow",
)
FACE = ("__init__", "__main__", "commands")
"""Modules of the root that stand above the packages; the others (errors, plugins, progress, schema, script) below them."""
FILES = sorted((ROOT / "neft").rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[str, ...]]:
    """Names of ours that a file imports, also inside functions and for annotations, without `neft`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "neft":
            for alias in node.names:
                yield (*node.module.split(".")[1:], alias.name)


def floor(place: tuple[str, ...]) -> int:
    if place[0] in FLOORS:
        return FLOORS.index(place[0])
    return len(FLOORS) if place[0] in FACE else -1


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_package_imports_only_from_the_floors_below(file: Path) -> None:
    place = file.relative_to(ROOT / "neft").with_suffix("").parts
    for other in imported(file):
        assert floor(other) <= floor(place), f"{'.'.join(place)} imports {'.'.join(other)}"


@pytest.mark.parametrize(
    "file", sorted((ROOT / "scripts").glob("*/*.py")), ids=lambda file: file.stem
)
def test_a_script_knows_neither_the_configuration_nor_the_workflow(file: Path) -> None:
    assert not {other[0] for other in imported(file)} & {"config", "workflow"}


def test_no_folder_holds_more_than_one_looks_over() -> None:
    """But for plug-ins, which are found by name and not by looking."""
    plugins_of = {ROOT.joinpath(*package.split(".")) for package in FAMILIES.values()}
    folders = {file.parent for file in [*FILES, *(ROOT / "scripts").glob("*/*.py")]}
    for folder in folders - plugins_of:
        assert len([file for file in folder.glob("*.py") if file.name != "__init__.py"]) <= 12, (
            folder
        )


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.name == "__init__.py" and file.parent.name != "neft"],
    ids=lambda file: str(file.parent.relative_to(ROOT)),
)
def test_a_package_says_what_it_is_for_and_imports_nothing(file: Path) -> None:
    """What an `__init__` imports would be in no fingerprint, and every importer would pay for it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_the_root_holds_few_modules() -> None:
    assert len([file for file in (ROOT / "neft").glob("*.py") if file.name != "__init__.py"]) <= 8
