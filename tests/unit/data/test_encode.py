from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
import tuned
from neft import plugins
from neft.data import encode
from neft.data.tasks import summarization
from neft.errors import NeftError
from neft.models import runtime
from neft.storage.files import read_rows

TASK = plugins.load("tasks", "translation")
STOPS = frozenset({2})


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.make_tokenizer()


def messages(source: str) -> list[dict[str, str]]:
    return TASK.messages({"source": source}, tuned.task())


def test_labels_are_the_answer_and_the_token_that_ends_it(tokenizer):
    found = encode.example(tokenizer, messages("Open the file"), "Ouvrir le fichier", STOPS)
    labels = [label for label in found["labels"] if label != encode.IGNORED]
    assert tokenizer.decode(labels) == "Ouvrir le fichier<|im_end|>"


def test_the_prompt_of_training_is_the_prompt_of_generation(tokenizer):
    found = encode.example(tokenizer, messages("Open the file"), "Ouvrir le fichier", STOPS)
    prompt = encode.prompt_ids(tokenizer, messages("Open the file"))
    assert found["input_ids"][: len(prompt)] == prompt
    assert found["labels"][: len(prompt)] == [encode.IGNORED] * len(prompt)
    assert tokenizer.decode(prompt).endswith("<|im_start|>assistant\n")


@given(source=st.text(max_size=40), target=st.text(min_size=1, max_size=40))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_has_its_prompt_intact_and_is_closed(tokenizer, source: str, target: str):
    prompt = encode.prompt_ids(tokenizer, messages(source))
    found = encode.example(tokenizer, messages(source), target, STOPS)
    assert found["input_ids"][: len(prompt)] == prompt
    assert found["input_ids"][len(prompt) :] == found["labels"][len(prompt) :]
    assert found["labels"][-1] == 2


def test_a_template_that_closes_no_answer_gets_the_end_token(tokenizer):
    tokenizer = tiny.make_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} | {% endfor %}"
    found = encode.example(tokenizer, messages("Open"), "Ouvrir", STOPS)
    labels = [label for label in found["labels"] if label != encode.IGNORED]
    assert tokenizer.decode(labels) == "Ouvrir | <|im_end|>"


def test_a_tokenizer_without_template_is_refused(tokenizer):
    tokenizer = tiny.make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(NeftError, match=r"no chat template.*chat_template"):
        encode.prompt(tokenizer, messages("Open"))


def test_rows_that_are_too_long_are_left_out_and_counted(tokenizer, tiny_rows: Path):
    rows = read_rows(tiny_rows)
    everything, none = encode.examples(tokenizer, rows, TASK, tuned.task(), STOPS, 512)
    lengths = sorted(len(e["input_ids"]) for e in everything)
    limit = lengths[len(lengths) // 2]
    kept, dropped = encode.examples(tokenizer, rows, TASK, tuned.task(), STOPS, limit)
    assert none == {"too_long": 0, "cut": 0} and 0 < dropped["too_long"] == len(rows) - len(kept)
    assert kept == [e for e in everything if len(e["input_ids"]) <= limit]


SUMMARY = summarization.Spec(
    kind="summarization",
    source_language="en",
    target_language="en",
    prompt="Summarize:\n{document}",
    max_document_tokens=12,
)


def test_documents_over_the_budget_lose_their_end_and_are_counted(tokenizer):
    rows = [
        {"id": 0, "document": "Open the file", "summary": "x"},
        {"id": 1, "document": "Open the file. " * 9, "summary": "x"},
    ]
    task = plugins.load("tasks", "summarization")
    short, cut = encode.shorten(tokenizer, rows, task, SUMMARY)
    assert cut == 1 and short[0] == rows[0]
    assert (
        rows[1]["document"].startswith(short[1]["document"])
        and short[1]["document"] != rows[1]["document"]
    )
    assert 10 <= len(tokenizer(short[1]["document"])["input_ids"]) <= 12
    kept, counts = encode.examples(tokenizer, rows, task, SUMMARY, STOPS, 512)
    assert counts == {"too_long": 0, "cut": 1}
    assert short[1]["document"] + "<|im_end|>" in tokenizer.decode(kept[1]["input_ids"])


@given(document=st.text(min_size=1, max_size=60), budget=st.integers(1, 30))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_cut_to_the_budget_and_to_no_less_than_it_must_be(
    tokenizer, document: str, budget: int
):
    spec = SUMMARY.model_copy(update={"max_document_tokens": budget})
    (row,), cut = encode.shorten(
        tokenizer, [{"document": document}], plugins.load("tasks", "summarization"), spec
    )
    tokens = len(tokenizer(document)["input_ids"])
    assert document.startswith(row["document"])
    assert len(tokenizer(row["document"])["input_ids"]) <= budget
    assert cut == (tokens > budget) == (row["document"] != document)


def test_a_task_without_a_long_field_is_left_as_it_is(tokenizer):
    rows = [{"source": "Open the file " * 200}]
    assert encode.shorten(tokenizer, rows, TASK, tuned.task()) == (rows, 0)


def test_rows_that_the_model_has_no_positions_for_are_counted_and_the_longest_named(
    tiny_model: Path,
):
    model, _ = runtime.load_model(tiny_model, "float32")
    rows = [{"id": 4}, {"id": 5}, {"id": 6}]
    encode.check_room([256, 10, 256], rows, model, "test.jsonl")
    with pytest.raises(NeftError) as error:
        encode.check_room([257, 300, 256], rows, model, "test.jsonl")
    message = (
        "test.jsonl: 2 of 3 rows don't fit into the model's 256 positions; the longest, row 5,"
        " needs 300"
    )
    assert str(error.value).startswith(message)


def test_padding_is_on_the_right_and_has_no_label():
    batch = encode.pad(
        [
            {"input_ids": [5, 6], "labels": [-100, 6]},
            {"input_ids": [7, 8, 9], "labels": [-100, 8, 9]},
        ]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 0], [7, 8, 9]]
    assert batch["labels"].tolist() == [[-100, 6, -100], [-100, 8, 9]]
    assert batch["lengths"].tolist() == [2, 3]
    assert batch["input_ids"].dtype == torch.int64


def test_an_answer_ends_at_any_end_token_that_the_model_names(tiny_model: Path):
    model, tokenizer = runtime.load_model(tiny_model, "float32")
    model.generation_config.eos_token_id = [7, 9]
    assert encode.stop_tokens(model, tokenizer) == {2, 7, 9}
