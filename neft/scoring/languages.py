"""How languages are written, as far as scores depend on it."""

from __future__ import annotations

CHINESE = frozenset({"zh", "zho", "chi", "cmn", "yue", "wuu", "gan", "hsn", "lzh", "cjy", "czh"})
"""ISO 639 codes of the Chinese languages (not of those that are mostly written in Latin letters)."""
NO_SPACES = frozenset(
    {"ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya", "shn"}
    | {"bo", "bod", "tib", "dz", "dzo"}
)
"""Of other languages that are written without spaces between words."""


def code(language: str) -> str:
    """The language of a tag such as `zh-Hant`, `zho_Hans` or `EN`, in lower case."""
    return language.lower().replace("_", "-").split("-")[0]
