"""What code a rule's output depends on, as one hash.

Snakemake sees neither the script that a `shell:` rule calls nor the modules which that imports. So
each rule carries this fingerprint as a parameter: editing logic reruns what uses it, editing a
comment, a docstring or the formatting reruns nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fingerprint(script: str, plugins: Iterable[str] = ()) -> str:
    """Hash the logic of `scripts/<stage>/<script>.py`, of the modules that it imports
    (transitively) and of its plug-ins.

    script: name without folder and suffix. plugins: module names such as
    "neft.training.methods.lora", which are loaded by name at run time and so can't be seen among
    the imports. Returns 16 hexadecimal digits.
    """
    todo = [_script(script), *(_file(name) for name in plugins)]
    files: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in files:
            files.add(file)
            todo += [_file(name) for name in _imports(file)]
    # By content alone: a module that moves, and nothing else, reruns nothing.
    texts = sorted(_logic(file) for file in files)
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _script(name: str) -> Path:
    (file,) = ROOT.glob(f"scripts/*/{name}.py")
    return file


def _file(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


@cache
def _tree(file: Path) -> ast.Module:
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # Any bare string is documentation, also those that stand under a field.
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return tree


class _Placeless(ast.NodeTransformer):
    """Leaves out in which package of the project an imported name lives."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if not (node.module or "").startswith("neft"):
            return node
        return ast.ImportFrom("neft", node.names, node.level)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def _logic(file: Path) -> str:
    tree = ast.parse(ast.unparse(_tree(file)))  # a copy, since _imports reads where names live
    return ast.unparse(_Placeless().visit(tree))


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """Names of the project's modules that a file imports, but not those that only its annotations
    need.
    """
    return tuple(sorted({name for node in _executed(_tree(file)) for name in _modules(node)}))


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _executed(child)


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("neft."))
    elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "neft":
        if _file(node.module).exists():
            yield node.module
        else:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
