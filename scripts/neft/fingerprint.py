"""What code a rule's output depends on, as one hash.

Snakemake sees neither the script that a `shell:` rule calls nor the modules which that imports. So each rule carries this
fingerprint as a parameter: editing logic reruns what uses it, editing a comment, a docstring or the formatting reruns nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent


def fingerprint(script: str, plugins: Iterable[str] = ()) -> str:
    """Hash the logic of `scripts/<script>.py`, of the project modules that it imports (transitively) and of its plug-ins.

    script: name without folder and suffix. plugins: module names such as "neft.methods.lora", which are loaded by name at run
    time and so can't be seen among the imports. Returns 16 hexadecimal digits.
    """
    todo = [SCRIPTS / f"{script}.py", *(_file(name) for name in plugins)]
    files: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in files:
            files.add(file)
            todo += [_file(name) for name in _imports(file)]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(SCRIPTS)}\0{_logic(file)}\0".encode())
    return digest.hexdigest()[:16]


def _file(module: str) -> Path:
    return SCRIPTS / (module.replace(".", "/") + ".py")


@cache
def _tree(file: Path) -> ast.Module:
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # Any bare string is documentation, also those that stand under a field.
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    )


@cache
def _logic(file: Path) -> str:
    return ast.unparse(_tree(file))


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """Names of the project's modules that a file imports, but not those that only its annotations need."""
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
