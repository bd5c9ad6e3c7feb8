from __future__ import annotations

import re

from neft.reporting.pages import page


def test_titles_and_leads_are_escaped_and_the_body_is_kept():
    text = page("a < b & c", "<script>", "<p>kept</p>", ".x { color: red }")
    assert text.count("a &lt; b &amp; c") == 2 and "&lt;script&gt;" in text
    assert "<p>kept</p>" in text and ".x { color: red }" in text


def test_a_page_names_no_file_or_address_outside_itself():
    assert not re.search(r"https?:|src=|<link|@import|url\(", page("t", "l", "b"))


def test_a_page_states_language_charset_and_width_for_phones():
    text = page("t", "l", "b")
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in text and 'name="viewport"' in text
