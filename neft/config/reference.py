"""The reference of the configuration, made from the models that check it (`make docs`).

Writes  docs/config.schema.json   the JSON schema, for editors
        docs/config.md            every block, key, type, default and meaning
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neft.config.model import SCHEMA


def json_schema() -> dict[str, Any]:
    """The JSON schema of the configuration, for editors (`# yaml-language-server: $schema=…`)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA}


def reference() -> str:
    """The configuration reference as Markdown: every block, key, type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Generated from the models in `neft` by `make docs`; do not edit.",
        "",
    ]
    for title, block in [
        ("The file", SCHEMA),
        *sorted(SCHEMA["$defs"].items(), key=_reference_order),
    ]:
        lines += [
            f"## {_heading(title, block)}",
            "",
            block.get("description", "").replace("\n", " "),
            "",
        ]
        lines += ["| key | allowed | default | meaning |", "|---|---|---|---|"]
        for key, field in block.get("properties", {}).items():
            given = field.get("default")
            default = (
                "needed"
                if key in block.get("required", [])
                else "its own"
                if given and isinstance(given, dict)
                else None
            )
            default = default or f"`{json.dumps(given)}`"
            meaning = (
                "Names the plug-in."
                if key == "kind"
                else field.get("description", "").replace("\n", " ")
            )
            lines.append(f"| `{key}` | {_allowed(field)} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _reference_order(item: tuple[str, dict[str, Any]]) -> tuple[bool, str]:
    return "kind" in item[1].get("properties", {}), _heading(*item)


def _heading(title: str, block: dict[str, Any]) -> str:
    """Plug-ins are all called Spec: name them by their kind, and by the family that pydantic put
    into the name.
    """
    kind = block.get("properties", {}).get("kind", {}).get("const")
    family = next(
        (
            f
            for f in ("methods", "selectors", "tasks", "metrics", "sources", "tables")
            if f"__{f}__" in title
        ),
        None,
    )
    return f"{family}: `{kind}`" if kind and family else f"`{kind}`" if kind else title


def _allowed(field: dict[str, Any]) -> str:
    if "$ref" in field:
        title = field["$ref"].rsplit("/", 1)[1]
        return _heading(title, SCHEMA["$defs"][title])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " · ".join(f"`{v}`" for v in field["enum"])
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        # "methods: `lora` or methods: `neft`" says "methods" once.
        shown = [_allowed(option) for option in options]
        family, colon, _ = shown[0].partition(": ")
        return (
            family + colon + " or ".join(text.removeprefix(family + colon) for text in shown)
            if colon
            else " or ".join(shown)
        )
    if field.get("type") == "array":
        return f"list of {_allowed(field.get('items', {}))}"
    if field.get("type") == "object":
        values: Any = field.get("additionalProperties") or next(
            iter(field.get("patternProperties", {}).values()), {}
        )
        return f"name: {_allowed(values)}" if isinstance(values, dict) else "mapping"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[name]}" for name, sign in signs.items() if name in field]
    return " ".join([str(field.get("type", "any")), *bounds])


def write_docs(folder: Path) -> None:
    """Write `config.schema.json` and `config.md` into a folder."""
    (folder / "config.schema.json").write_text(
        json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "config.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write_docs(Path(__file__).resolve().parents[2] / "docs")
