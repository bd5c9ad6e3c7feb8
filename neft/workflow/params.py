"""The two params of every rule, and what the stages of a plan share.

`spec` is the slice of the configuration that decides a rule's output, as one JSON text; `code` is
the fingerprint of the code that does. Snakemake reruns a rule when either changes, so nothing else
may be in them.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from neft import plugins
from neft.config.model import Config, Dataset
from neft.results.layout import Layout
from neft.schema import Strict
from neft.workflow.fingerprint import fingerprint

Wildcards = Any
"""An object whose attributes are the wildcards of a rule's paths."""


class Stage:
    """What one stage of the workflow needs of a configuration. Methods that take wildcards serve
    the rule of the same name.
    """

    def __init__(self, config: Config) -> None:
        """Plan a checked configuration."""
        self.config = config
        self.layout = Layout.of(config.name)

    def dataset(self, w: Wildcards) -> Dataset:
        """The data set that a rule trains on."""
        return self.config.datasets[w.dataset]

    def trust(self, w: Wildcards) -> dict[str, Any]:
        """What a spec says of the model: whether its own code may run."""
        return {"trust_remote_code": self.config.models[w.model].trust_remote_code}


def plain(part: Strict) -> dict[str, Any]:
    """A block of the configuration as JSON-able values."""
    return part.model_dump(mode="json")


def spec(**parts: Any) -> str:
    """What decides a rule's output, as one JSON text."""
    # A literal "</" would end the script element in which Snakemake's report shows params; "<\\/"
    # is the same in JSON.
    return json.dumps(parts, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")


@cache
def code(script: str, *modules: str) -> str:
    """The code that decides a rule's output, as a hash."""
    return fingerprint(script, modules)


def module(family: str, block: Any) -> str:
    """The module of the plug-in that a block of the configuration asks for."""
    return plugins.module(family, block.kind)
