from __future__ import annotations

import pytest
from pydantic import ValidationError

import benchmark_rows
from neft.data.tasks import mmlu
from neft.errors import NeftError

SPEC = mmlu.Spec(kind="mmlu", shots=2, examples="dev")
# The original format, written out.
PROMPT = """The following are multiple choice questions (with answers) about number theory.

Which number is odd?
A. 2
B. 4
C. 6
D. 9
Answer: D

What is 3 + 3?
A. 33
B. 6
C. 9
D. 0
Answer: B

Which number is prime?
A. 4
B. 6
C. 7
D. 8
Answer:"""


def numbered(rows):
    return [{"id": n, **row} for n, row in enumerate(benchmark_rows.questions(rows))]


def tasks(spec=SPEC):
    from neft.generation import harness

    made = mmlu.benchmark(
        numbered(benchmark_rows.QUESTIONS), benchmark_rows.questions(benchmark_rows.EXAMPLES), spec
    )
    return {
        n: harness.api.ConfigurableTask(config=harness._with_data(n, *one))
        for n, one in made.items()
    }


def test_the_prompt_is_the_originals():
    task = tasks()["number_theory"]
    task.build_all_requests()
    assert [request.args for request in task.instances[:4]] == [
        (PROMPT, f" {letter}") for letter in "ABCD"
    ]


def test_the_prompt_is_lm_evals_own():
    """Its `mmlu_<subject>` tasks, on the same question."""
    from pathlib import Path

    import lm_eval
    import yaml
    from lm_eval.utils import apply_template

    theirs = yaml.safe_load(
        (Path(lm_eval.__file__).parent / "tasks/mmlu/default/_default_template_yaml").read_text()
    )
    row = benchmark_rows.questions(benchmark_rows.QUESTIONS)[2]
    text = apply_template(
        theirs["doc_to_text"], {"question": row["question"], "choices": [row[c] for c in "ABCD"]}
    )
    assert PROMPT.endswith("\n\n" + text)
    assert theirs["doc_to_choice"] == list(mmlu.CHOICES)


def test_without_shots_there_is_only_the_question():
    task = tasks(mmlu.Spec(kind="mmlu", shots=0))["colours"]
    task.build_all_requests()
    start = (
        "The following are multiple choice questions (with answers) about colours.\n\nWhich is a"
        " colour?\nA. Red"
    )
    assert task.instances[0].args[0].startswith(start)


def test_the_likeliest_letter_is_chosen_and_of_equals_the_first():
    doc = benchmark_rows.questions(benchmark_rows.QUESTIONS)[0]
    sample = {
        "doc": doc,
        "filtered_resps": [(-2.0, False), (-1.0, False), (-3.0, False), (-1.0, False)],
    }
    found = mmlu.outcome(sample)
    assert (found["output"], found["reference"], found["subject"]) == ("B", "A", "colours")
    assert found["scores"] == {"A": -2.0, "B": -1.0, "C": -3.0, "D": -1.0}


def test_too_few_examples_of_a_subject_are_an_error():
    with pytest.raises(
        NeftError, match="2 examples of the subject number_theory in dev, but `shots` is 3"
    ):
        tasks(SPEC.model_copy(update={"shots": 3}))


def test_an_answer_that_is_no_letter_is_an_error():
    rows = numbered([("x_val", "Why?", "1", "2", "3", "4", "0")])
    with pytest.raises(NeftError, match="the answer to 'Why\\?' is '0', not one of A, B, C, D"):
        mmlu.benchmark(rows, [], SPEC)


def test_shots_need_examples():
    with pytest.raises(ValidationError, match="`shots: 5` needs `examples`"):
        mmlu.Spec.model_validate({"kind": "mmlu"})
