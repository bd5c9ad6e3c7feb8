from __future__ import annotations

from dataclasses import replace

import pytest

from neft.reporting.main_table import count, records, sheet
from neft.reporting.summary import Mean, Result, Row
from neft.results.comparisons import Comparison, RunPair
from neft.results.runs import Group
from neft.scoring.methods import Difference

GROUP = Group("model", "data", "test", {})
COSTS = {
    "train_seconds": 390.5,
    "tokens_per_second": 1234.5,
    "peak_memory_bytes": 3 * 2**30,
    "delta_bytes": 24_200_000,
}


def less_full(method: str, value: float, p: float | None, *runs: RunPair) -> Comparison:
    found = Difference(value, value - 1, value + 1, p, len(runs), 60, 0.5, 2.0)
    return Comparison(method, "full", found, runs)


NEFT_LESS_FULL = less_full(
    "neft", 0.96, 0.0004, *(RunPair(seed, 41, 40.04, 0.2) for seed in (1, 2, 3))
)
BASE_LESS_FULL = less_full(
    "base", -39.54, 0.25, *(RunPair(seed, 0.5, 40.04, 0.001) for seed in (1, 2, 3))
)
FULL = Row(
    "full",
    "full",
    1,
    134_515_008,
    100.0,
    (1e-4,),
    3,
    Mean(1.25),
    COSTS,
    {"bleu": Result("BLEU", Mean(40.04), 38.0, 42.0, "sig", (40.04,))},
)
NEFT = Row(
    "neft",
    "neft",
    3,
    12_105_792,
    9.0,
    (1e-4, 5e-4),
    3,
    Mean(1.5, 0.01),
    COSTS,
    {
        "bleu": Result(
            "BLEU", Mean(41, 0.5), 39, 43, "sig", (40.5, 41, 41.5), NEFT_LESS_FULL, "sig|test:t"
        )
    },
)
BASE = Row(
    "base",
    "base",
    1,
    0,
    0.0,
    (),
    0,
    None,
    {},
    {"bleu": Result("BLEU", Mean(0.5), 0.1, 0.9, "sig", (0.5,), BASE_LESS_FULL, "sig|test:t")},
)


def texts(table) -> list[list[str]]:
    return [[cell.whole for cell in row] for row in table.rows]


def test_records_hold_every_number_in_full_with_plain_columns():
    full, neft = records([(GROUP, [FULL, NEFT])])
    assert list(full)[:11] == [
        "model", "dataset", "test", "method", "kind", "seeds", "trainable_parameters", "percent",
        "learning_rate", "trials", "dev_loss",
    ]  # fmt: skip
    assert list(full)[12:22] == [
        "bleu",
        "bleu_sd",
        "bleu_low",
        "bleu_high",
        "bleu_by_seed",
        "bleu_difference",
        "bleu_difference_low",
        "bleu_difference_high",
        "bleu_p",
        "bleu_run_p",
    ]
    assert list(full)[23:] == [
        "train_seconds",
        "tokens_per_second",
        "peak_memory_bytes",
        "delta_bytes",
    ]
    assert (full["trainable_parameters"], full["bleu"], full["bleu_p"], full["bleu_sd"]) == (
        134515008,
        40.04,
        None,
        None,
    )
    assert (neft["bleu_p"], neft["bleu_sd"], neft["dev_loss_sd"], neft["learning_rate"]) == (
        0.0004,
        0.5,
        0.01,
        "0.0001 0.0005",
    )
    assert (neft["bleu_by_seed"], neft["bleu_run_p"]) == ("40.5 41 41.5", "0.2 0.2 0.2")
    assert [neft[f"bleu_difference{end}"] for end in ("", "_low", "_high")] == [
        0.96,
        pytest.approx(-0.04),
        1.96,
    ]
    assert full["peak_memory_bytes"] == 3 * 2**30


def test_records_lack_what_does_not_exist():
    (base,) = records([(GROUP, [BASE])])
    assert [base[key] for key in ("dev_loss", "learning_rate", "train_seconds", "delta_bytes")] == [
        None
    ] * 4
    assert (base["trainable_parameters"], base["percent"]) == (0, 0.0)


def test_records_keep_costs_last_when_groups_have_different_metrics():
    other = Row(
        "full",
        "full",
        1,
        1,
        100.0,
        (1e-4,),
        1,
        Mean(1.0),
        COSTS,
        {"chrf": Result("chrF++", Mean(50), 49, 51, "sig2")},
    )
    first, second = records([(GROUP, [FULL]), (GROUP, [other])])
    assert list(first)[-4:] == list(COSTS)
    assert (first["chrf"], second["bleu"], second["chrf"]) == (None, None, 50)


def test_people_read_rounded_numbers_with_units_in_the_header():
    table = sheet(GROUP, [FULL, NEFT, BASE], "full")
    assert table.header[-4:] == ["Training (s)", "Tokens/s", "Peak memory (GiB)", "Delta (MB)"]
    full, neft, base = texts(table)
    assert full == [
        "full",
        "full",
        "1",
        "134.5 M",
        "100.00",
        "1e-4",
        "3",
        "1.250",
        "40.0 [38.0, 42.0]",
        "–",
        "–",
        "390",
        "1,234",
        "3.00",
        "24.2",
    ]
    assert table.header[8:11] == ["BLEU [95\u00a0%]", "less full [95\u00a0%]", "p"]
    assert neft[5:9] == ["1e-4 or 5e-4", "3", "1.500 ± 0.010", "41.0 ± 0.5 [39.0, 43.0]"]
    assert neft[9:11] == ["+1.0 [+0.0, +2.0]", "< 0.001"]
    assert base[8:] == ["0.5 [0.1, 0.9]", "-39.5 [-40.5, -38.5]", "0.250", "–", "–", "–", "–"]


def test_with_one_seed_the_columns_speak_of_runs():
    compared = less_full("neft", 0.96, None, RunPair(1, 41, 40.04, 0.2))
    result = replace(NEFT.results["bleu"], comparison=compared, test="sig|test:swaps")
    table = sheet(GROUP, [FULL, replace(NEFT, seeds=1, results={"bleu": result})], "full")
    assert table.header[9:11] == ["less full, this run [95\u00a0%]", "p, this run"]
    assert texts(table)[1][10] == "0.200"
    assert "nothing of methods" in dict(table.notes)["this run"]


def test_the_best_score_and_the_lowest_dev_loss_are_bold():
    table = sheet(GROUP, [FULL, NEFT, BASE], "full")
    bold = [
        (row[0].text, table.header[place])
        for row in table.rows
        for place, cell in enumerate(row)
        if cell.bold
    ]
    assert bold == [("full", "Dev loss"), ("neft", "BLEU [95\u00a0%]")]


def test_the_notes_give_signatures_and_what_is_compared():
    notes = sheet(GROUP, [FULL, NEFT], "full").notes
    assert [text for term, text in notes if term == "BLEU"] == ["sig", "sig|test:t"]
    assert "paired by seed and row" in dict(notes)["less full"]
    assert "Seeds" in dict(notes)


def test_without_comparison_or_seeds_there_is_no_note_on_them():
    assert [term for term, _ in sheet(GROUP, [FULL], "full").notes] == [
        "Bold",
        "[95\u00a0%]",
        "BLEU",
    ]


def test_methods_keep_their_order():
    assert [row[0].text for row in sheet(GROUP, [NEFT, BASE, FULL], "full").rows] == [
        "neft",
        "base",
        "full",
    ]


def test_counts_are_said_as_people_say_them():
    assert [count(n) for n in (0, 999, 1_500, 12_105_792, 6_738_415_616)] == [
        "0",
        "999",
        "1.5 k",
        "12.1 M",
        "6.7 B",
    ]


FLAGGED = Row(
    "full",
    "full",
    1,
    1,
    100.0,
    (1e-4,),
    1,
    Mean(1.0),
    COSTS,
    {
        "comet": Result(
            "COMET", Mean(80), 79, 81, "sig", standard_error=0.52, notes=("mi is not covered.",)
        ),
        "rouge": Result(
            "ROUGE-L",
            Mean(30),
            29,
            31,
            "sig",
            standard_error=0.5,
            details={"recall": 20.0},
            notes=("one empty.", "mi is not covered."),
        ),
    },
)


def test_standard_errors_details_and_notes_have_columns_only_where_they_exist():
    full, flagged = records([(GROUP, [FULL, FLAGGED])])
    assert not {"bleu_standard_error", "bleu_notes", "comet_recall"} & set(full)
    assert (flagged["comet_standard_error"], flagged["rouge_recall"], full["rouge_recall"]) == (
        0.52,
        20.0,
        None,
    )
    assert (flagged["comet_notes"], flagged["rouge_notes"]) == (
        "mi is not covered.",
        "one empty. mi is not covered.",
    )


def test_a_score_with_notes_is_marked_and_the_marks_are_explained():
    table = sheet(GROUP, [FLAGGED], "full")
    cells = [cell.whole for cell in table.rows[0]]
    assert "80.0† [79.0, 81.0], SE 0.5" in cells and "30.0‡† [29.0, 31.0], SE 0.5" in cells
    assert table.notes[-2:] == [("†", "mi is not covered."), ("‡", "one empty.")]
    assert dict(table.notes)["SE"] == "standard error over the test sentences."


def test_where_lower_is_better_the_lowest_value_is_set_in_bold_even_above_100():
    def row(method, value):
        ter = Result("TER", Mean(value), value - 1, value + 1, "sig", higher_is_better=False)
        return replace(FULL, method=method, results={"ter": ter})

    rows = [row("good", 61.0), row("bad", 612.34)]
    cells = {line[0].text: line for line in sheet(GROUP, rows, "good").rows}
    assert [cells[name][8].text for name in ("good", "bad")] == ["61.0", "612.3"]
    assert [cells[name][8].bold for name in ("good", "bad")] == [True, False]


def test_a_score_is_printed_with_the_decimals_of_its_metric():
    loss = Result("loss", Mean(1.9331), 1.8, 2.06, "sig", higher_is_better=False, decimals=3)
    cell = sheet(GROUP, [replace(FULL, results={"loss": loss})], "full").rows[0][8]
    assert (cell.text, cell.detail) == ("1.933", "[1.800, 2.060]")
