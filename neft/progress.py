"""Progress bars that also read well in a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


class _Lines:
    """Turns a bar's carriage returns into lines, for pipes and files where they would pile up on
    one line.
    """

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(total: int, what: str, unit: str, hidden: bool = False) -> tqdm[Any]:
    """A tqdm bar on standard error: redrawn in place on a terminal, a line every ten seconds
    anywhere else; or none.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        disable=hidden,
        file=None if terminal else _Lines(),
        mininterval=0.5 if terminal else 10,
        dynamic_ncols=terminal,
        ncols=None if terminal else 100,
    )
