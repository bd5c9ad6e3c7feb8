"""Translation catalogs, the messages of a program in another language: gettext's .po and .mo, and
JupyterLab's JSON.

Every reader gives rows with the columns `source`, `target` and `context` ("" where a message has
none; the same message may be translated differently in another context). A message that nobody has
translated has an empty target.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence

from neft.data.readers import Row
from neft.errors import NeftError
from neft.storage.files import parse_json

CONTEXT = "\x04"  # stands between context and message in the keys of catalogs


def po(content: bytes, name: str) -> Iterator[Row]:
    """Entries of a .po file, in the character set that its header names.

    As when a program is built of it: a translation that is marked as fuzzy is a guess and counts as
    none, obsolete entries are left out. A message with a plural gives two rows: see `_rows`.
    """
    import polib

    try:
        # Polib takes a text that is the name of a file for that file, which no text of two lines
        # is.
        catalog = polib.pofile("#\n" + content.decode(_charset(content)), encoding="utf-8")
    except (OSError, ValueError, LookupError) as error:
        raise NeftError(f"{name}: not readable as a .po file: {error}") from error
    for entry in catalog:
        if not entry.obsolete:
            messages = [entry.msgid, entry.msgid_plural] if entry.msgid_plural else [entry.msgid]
            forms = [entry.msgstr_plural[n] for n in sorted(entry.msgstr_plural)] or [entry.msgstr]
            yield from _rows(messages, [""] if entry.fuzzy else forms, entry.msgctxt or "", name)


def mo(content: bytes, name: str) -> Iterator[Row]:
    """Entries of a .mo file, which is what a .po file is compiled to, in the character set that its
    header names.

    Format: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html. The standard
    library's reader leaves out the plural of a message.
    """
    try:
        pairs = list(_mo_entries(content))
        charset = _charset(next((text for key, text in pairs if not key), b""))
        decoded = [(key.decode(charset), text.decode(charset)) for key, text in pairs]
    except (ValueError, LookupError, struct.error) as error:
        raise NeftError(f"{name}: not readable as a .mo file: {error}") from error
    for key, text in decoded:
        if key:
            context, _, message = key.rpartition(CONTEXT)
            yield from _rows(message.split("\0"), text.split("\0"), context, name)


def jupyter(content: bytes, name: str) -> Iterator[Row]:
    """Entries of a JSON catalog {"message" or "context\\u0004message": [translation, plural
    forms…], "": header}.
    """
    try:
        catalog = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise NeftError(f"{name}: not JSON in UTF-8: {error}") from error
    if not isinstance(catalog, dict):
        raise NeftError(
            f"{name}: expected a JSON object of messages, got {json.dumps(catalog)[:60]}"
        )
    for key, forms in catalog.items():
        if not isinstance(forms, list) and key:
            raise NeftError(
                f"{name}: '{key}': expected a list of translations, got {json.dumps(forms)[:60]}"
            )
        if key:
            context, _, message = key.rpartition(CONTEXT)
            # The first form is the translation of the message itself; those that follow translate
            # its plural.
            yield (
                f"{name}: '{key}'",
                {"context": context, "source": message, "target": forms[0] if forms else ""},
            )


READERS = {"po": po, "mo": mo, "json-catalog": jupyter}


def _mo_entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(content[:4])
    if order is None:
        raise ValueError("it does not begin with the magic number")
    count, messages, translations = struct.unpack_from(f"{order}3I", content, 8)
    left = 2 * len(content)  # texts may share bytes, but kilobytes must not become gigabytes
    for number in range(count):
        texts = []
        for table in (messages, translations):
            length, start = struct.unpack_from(f"{order}2I", content, table + 8 * number)
            if start + length > len(content):
                raise ValueError("it ends before its last text")
            left -= length
            if left < 0:
                raise ValueError("its texts are longer than the file")
            texts.append(content[start : start + length])
        yield texts[0], texts[1]


def _charset(content: bytes) -> str:
    """The character set that a catalog's header names; UTF-8 if it names none, or still has the
    template's "CHARSET".
    """
    found = re.search(rb"Content-Type:[^\n]*?charset=([\w.:-]+)", content)
    return found[1].decode("ascii") if found and found[1] != b"CHARSET" else "utf-8"


def _rows(messages: Sequence[str], forms: Sequence[str], context: str, name: str) -> Iterator[Row]:
    """A message and its translation; of one with a plural both: the singular with the first form,
    the plural with the last.

    A language that has one form (Chinese, say) writes it for any number, so it translates the
    plural alone: "one file" would become "{n} 个文件".
    """
    singular, plural = messages[0], messages[-1]
    pairs = {singular: forms[0], plural: forms[-1]} if len(forms) > 1 else {plural: forms[0]}
    for source, target in pairs.items():
        yield f"{name}: '{source}'", {"context": context, "source": source, "target": target}
