"""Python imports this at its start, where it lies on PYTHONPATH: it writes down which files below
`results/` a script reads.

Writes  .reads/<process>.json   [the script's command line, [paths it opened for reading]]
"""

import atexit
import json
import os
import sys
from pathlib import Path

_read: set[str] = set()


def _note(event: str, args: tuple) -> None:
    if event == "open" and isinstance(args[1], str) and "r" in args[1] and "+" not in args[1]:
        _read.add(str(args[0]))


def _write() -> None:
    found = sorted(path for path in map(os.path.relpath, _read) if path.startswith("results/"))
    if found and sys.argv[0].startswith("scripts/"):
        folder = Path(".reads")
        folder.mkdir(exist_ok=True)
        (folder / f"{os.getpid()}.json").write_text(json.dumps([sys.argv, found]))


sys.addaudithook(_note)
atexit.register(_write)
