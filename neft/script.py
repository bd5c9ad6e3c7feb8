"""What every script shares: reading its arguments and ending with one message instead of a
traceback.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from neft.errors import NeftError

if TYPE_CHECKING:
    from neft.schema import Strict


def parser(doc: str | None, spec: type[Strict] | None = None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, with `--spec`: one JSON object, the settings
    that decide the output. The parsed arguments hold it as an instance of the script's `spec`, or as
    a dict in a script that runs where pydantic is not installed.
    """
    result = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    read = json.loads if spec is None else partial(_read, spec)
    result.add_argument("--spec", type=read, required=True, help="settings as one JSON object")
    return result


def _read(spec: type[Strict], text: str) -> Any:
    from pydantic import ValidationError

    from neft.schema import listed

    try:
        return spec.model_validate_json(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(listed(error)) from None


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
