"""Chats: the model reads all messages but the last, which it is to write."""

from __future__ import annotations

import json
from typing import Any, Literal

from neft.errors import NeftError
from neft.schema import Language, Strict

FIELDS = ("messages",)
OPTIONAL: frozenset[str] = frozenset()
STRUCTURED = frozenset({"messages"})
LONG = None
ROLES = ("system", "user", "assistant")


class Spec(Strict):
    """Go on with a chat, a list of {role, content} in the field `messages` whose last is the
    assistant's.
    """

    kind: Literal["chat"]
    """Chats as lists of messages."""
    language: Language
    """ISO 639 code of the answers' language; scores tokenize by it."""


def language(spec: Spec) -> str:
    """The language of the outputs."""
    return spec.language


def source(record: dict[str, Any]) -> str:
    """The chat up to the answer, as one text: a paragraph a message."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in _chat(record)[:-1])


def messages(record: dict[str, Any], spec: Spec) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    return _chat(record)[:-1]


def target(record: dict[str, Any], spec: Spec) -> str:
    """The answer to train on: what the last message says."""
    return _chat(record)[-1]["content"]


def read(text: str, spec: Spec) -> tuple[str, bool]:
    """The whole generated text."""
    return text.strip(), False


def choices(spec: Spec) -> list[str]:
    """Answers to compare by likelihood: none, the text is generated."""
    return []


def check(record: dict[str, Any], where: str) -> None:
    """Raises NeftError, naming the place, if a record holds no chat that ends with an answer."""
    try:
        chat = json.loads(record["messages"])
    except json.JSONDecodeError as error:
        raise NeftError(
            f"{where}: messages: not JSON: {error.msg} at character {error.pos + 1}"
        ) from error
    if not isinstance(chat, list) or not all(
        isinstance(m, dict) and {"role", "content"} <= m.keys() for m in chat
    ):
        raise NeftError(
            f"{where}: messages: expected a list of {{role, content}}, got"
            f" {record['messages'][:60]}"
        )
    for number, message in enumerate(chat, start=1):
        if message["role"] not in ROLES:
            raise NeftError(
                f"{where}: messages: role {message['role']!r} of message {number}; allowed:"
                f" {', '.join(ROLES)}"
            )
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise NeftError(f"{where}: messages: message {number} has no text")
    roles = [message["role"] for message in chat]
    if len(chat) < 2 or roles[-1] != "assistant" or "user" not in roles:
        raise NeftError(
            f"{where}: messages: a chat needs a user's message and, last, the assistant's; got"
            f" {', '.join(roles)}"
        )


def _chat(record: dict[str, Any]) -> list[dict[str, str]]:
    """Only role and content: what else data sets keep with a message (dates, weights) is no part of
    a prompt.
    """
    check(record, f"row {record['id']}" if "id" in record else f"row {record['messages'][:60]!r}")
    return [
        {key: message[key] for key in ("role", "content")}
        for message in json.loads(record["messages"])
    ]
