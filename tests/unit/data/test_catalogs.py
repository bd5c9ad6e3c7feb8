"""Translation catalogs, written by hand as gettext's tools write them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.data import catalogs
from neft.errors import NeftError

PO = r"""# A comment
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\n"

#: app.py:1
msgid "Open the file"
msgstr "Ouvrir le fichier"

msgctxt "menu"
msgid "Open"
msgstr "Ouvrir"

msgctxt "state"
msgid "Open"
msgstr "Ouvert"

#, python-format
msgid "One file of {name}"
msgid_plural "%(n)d files of {name}"
msgstr[0] "Un fichier de {name}"
msgstr[1] "%(n)d fichiers de {name}"

msgid ""
"A long text\n"
"on two lines with a \"quote\""
msgstr ""
"Un long texte\n"
"sur deux lignes avec une « citation »"

#, fuzzy
msgid "Close"
msgstr "Ouvrir ?"

msgid "Not yet"
msgstr ""

#~ msgid "Old"
#~ msgstr "Vieux"
"""
EXPECTED = [
    ("", "Open the file", "Ouvrir le fichier"),
    ("menu", "Open", "Ouvrir"),
    ("state", "Open", "Ouvert"),
    ("", "One file of {name}", "Un fichier de {name}"),
    ("", "%(n)d files of {name}", "%(n)d fichiers de {name}"),
    (
        "",
        'A long text\non two lines with a "quote"',
        "Un long texte\nsur deux lignes avec une « citation »",
    ),
    ("", "Close", ""),
    ("", "Not yet", ""),
]


def entries(rows) -> list[tuple[str, str, str]]:
    return [(row["context"], row["source"], row["target"]) for _, row in rows]


def write_mo(messages: dict[str, str]) -> bytes:
    """The .mo format: magic number, version, count, offsets of two tables of (length, offset), then
    the texts.
    """
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    start = 28 + 16 * len(pairs)
    tables, texts = [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<2I", len(pair[column]), start + len(texts))
            texts += pair[column] + b"\0"
    return (
        struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
        + tables[0]
        + tables[1]
        + texts
    )


HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n > 1);\n"


def test_a_po_file_gives_contexts_plurals_and_joined_lines_and_no_fuzzy_or_obsolete_translation():
    assert entries(catalogs.po(PO.encode(), "fr.po")) == EXPECTED


def test_a_mo_file_gives_the_same_as_the_po_file_that_it_was_made_of():
    messages = {
        "": HEADER,
        "Open the file": "Ouvrir le fichier",
        "menu\x04Open": "Ouvrir",
        "One file of {name}\0%(n)d files of {name}": (
            "Un fichier de {name}\0%(n)d fichiers de {name}"
        ),
    }
    found = entries(catalogs.mo(write_mo(messages), "fr.mo"))
    assert sorted(found) == sorted(row for row in EXPECTED[:5] if row[0] != "state")


def test_a_language_with_one_form_translates_the_plural():
    header = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=1;'
        ' plural=0;\\n"\n\n'
    )
    content = header + 'msgid "One file"\nmsgid_plural "%d files"\nmsgstr[0] "%d 个文件"\n'
    assert entries(catalogs.po(content.encode(), "zh.po")) == [("", "%d files", "%d 个文件")]


@pytest.mark.parametrize("charset", ["ISO-8859-1", "UTF-8", "windows-1252"])
def test_the_character_set_of_the_header_is_used(charset):
    content = (
        f'msgid ""\nmsgstr "Content-Type: text/plain; charset={charset}\\n"\n\nmsgid'
        ' "Summer"\nmsgstr "Été"\n'
    )
    assert entries(catalogs.po(content.encode(charset), "fr.po")) == [("", "Summer", "Été")]


def test_placeholders_stay_as_they_are():
    text = "%1$s of {0} <b>%(x)s</b> &amp; ${y} \\\\n"
    content = (
        f'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "{text}"\nmsgstr'
        f' "{text}"\n'
    )
    [(_, source, target)] = entries(catalogs.po(content.encode(), "x.po"))
    assert source == target == "%1$s of {0} <b>%(x)s</b> &amp; ${y} \\n"


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1))
def test_every_message_survives_a_mo_file(messages):
    def plain(
        text: str,
    ) -> bool:  # what means something else in a .mo file, and what UTF-8 can't hold
        return not any(c in "\0\4" or "\ud800" <= c <= "\udfff" for c in text)

    messages = {source: target for source, target in messages.items() if plain(source + target)}
    found = entries(catalogs.mo(write_mo({"": HEADER} | messages), "x.mo"))
    assert {source: target for _, source, target in found} == messages


@pytest.mark.parametrize(
    "content", [b"nonsense\n", b'msgid "a"\nmsgid "b"\n', b'msgid "a"\nmsgstr "\xff"\n']
)
def test_a_broken_po_file_is_an_error_with_its_name(content):
    with pytest.raises(NeftError, match=r"^pack/fr\.po: not readable as a \.po file: "):
        list(catalogs.po(content, "pack/fr.po"))


@pytest.mark.parametrize("content", [b"", b"nonsense", write_mo({"": HEADER, "a": "b"})[:40]])
def test_a_broken_mo_file_is_an_error_with_its_name(content):
    with pytest.raises(NeftError, match=r"^pack/fr\.mo: not readable as a \.mo file: "):
        list(catalogs.mo(content, "pack/fr.mo"))


def test_a_json_catalog_that_is_no_object_is_an_error():
    with pytest.raises(
        NeftError, match=r"^fr\.json: expected a JSON object of messages, got \[1\]$"
    ):
        list(catalogs.jupyter(b"[1]", "fr.json"))
