from __future__ import annotations

import json

import pytest

from neft.data.tasks import chat
from neft.errors import NeftError

SPEC = {"kind": "chat", "language": "en"}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Who are you?", "date": "today"},
    {"role": "assistant", "content": "A model", "weight": 1},
]


def row(messages: object) -> dict[str, object]:
    return {"id": 3, "messages": messages if isinstance(messages, str) else json.dumps(messages)}


def test_all_messages_but_the_last_are_the_prompt():
    assert chat.messages(row(TALK), SPEC) == [
        *TALK[:3],
        {"role": "user", "content": "Who are you?"},
    ]
    assert chat.target(row(TALK), SPEC) == "A model"


def test_chats_that_ask_the_same_are_alike_whatever_the_answer():
    other = [*TALK[:-1], {"role": "assistant", "content": "Nobody"}]
    assert chat.source(row(TALK)) == chat.source(row(other))
    assert (
        chat.source(row(TALK))
        == "system: Be brief.\nuser: Hi\nassistant: Hello\nuser: Who are you?"
    )


@pytest.mark.parametrize(
    "messages, message",
    [
        (
            TALK[:4],
            (
                "a chat needs a user's message and, last, the assistant's; got system, user,"
                " assistant, user"
            ),
        ),
        (TALK[2:3], "a chat needs a user's message and, last, the assistant's; got assistant"),
        ([], "a chat needs a user's message and, last, the assistant's; got "),
        (
            [{"role": "tool", "content": "x"}],
            "role 'tool' of message 1; allowed: system, user, assistant",
        ),
        ([{"role": "user", "content": ""}], "message 1 has no text"),
        ([{"role": "user", "content": None}], "message 1 has no text"),
        ([{"from": "human", "value": "x"}], "expected a list of {role, content}, got "),
        ("Hi", "not JSON: Expecting value at character 1"),
    ],
)
def test_what_is_no_chat_that_ends_with_an_answer_is_named(messages, message):
    with pytest.raises(NeftError) as error:
        chat.target(row(messages), SPEC)
    assert str(error.value).startswith(f"row 3: messages: {message}")
