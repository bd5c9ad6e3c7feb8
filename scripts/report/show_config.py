"""Show the effective configuration, defaults filled in.

Reads   nothing but the spec
Writes  config.html   one file without outside assets
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import YamlLexer

from neft.reporting.pages import page
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files

# Keys, then values; everything else keeps the colour of text.
STYLE = (
    "pre .nt { color: var(--accent); } pre .l, pre .s1, pre .s2, pre .sd { color: var(--string); }"
)


class _Dumper(yaml.SafeDumper):
    """Writes templates of several lines as they look."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


class Spec(Strict):
    """What is shown."""

    config: dict[str, Any]
    """The whole configuration."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--page", required=True)
    args = arguments.parse_args(argv)

    config = args.spec.config
    text = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    code = highlight(text, YamlLexer(), HtmlFormatter(nowrap=True))
    lead = "What the run used: your file with every default filled in."
    files.write_text(
        args.page,
        page(f"Configuration of {config['name']}", lead, f'<pre tabindex="0">{code}</pre>', STYLE),
    )


if __name__ == "__main__":
    run(main)
