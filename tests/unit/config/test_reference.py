from __future__ import annotations

import json
from pathlib import Path

from neft.config import reference

ROOT = Path(__file__).resolve().parents[3]


def test_schema_and_reference_in_docs_are_current():
    assert json.loads((ROOT / "docs/config.schema.json").read_text()) == reference.json_schema()
    assert (ROOT / "docs/config.md").read_text() == reference.reference()


def test_the_reference_explains_every_key():
    for line in reference.reference().splitlines():
        if line.startswith("| `"):
            assert line.split("|")[-2].strip(), f"no meaning given: {line}"
