"""What every script shares: reading its arguments and ending with one message instead of a
traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import ValidationError

from neft.errors import NeftError
from neft.schema import Strict, listed


def parser(doc: str | None, spec: type[Strict] = Strict) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, with `--spec`: one JSON object, the settings
    that decide the output. The parsed arguments hold it as an instance of the script's `spec`.
    """
    result = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--spec", type=partial(_read, spec), required=True, help="settings as one JSON object"
    )
    return result


def _read(spec: type[Strict], text: str) -> Strict:
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
