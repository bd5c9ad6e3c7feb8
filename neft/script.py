"""What every script shares: reading its arguments and ending with one message instead of a
traceback.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from neft.errors import NeftError


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, with `--spec` (one JSON object: the settings
    that decide the output).
    """
    result = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--spec", type=_json_object, required=True, help="settings as one JSON object"
    )
    return result


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return value


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run a script's `main`; a NeftError or a file that can't be read becomes one message on
    standard error, exit status 1.
    """
    try:
        main(None)
    except NeftError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is None:  # no file's fault
            raise
        sys.exit(f"error: {error.filename}: {error.strerror or error}")
