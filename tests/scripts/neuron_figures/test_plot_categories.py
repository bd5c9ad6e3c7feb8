from __future__ import annotations

import pytest

from neft.analysis.ranking import by_pair
from neft.reporting import figures
from neft.storage.files import write_json
from scripts.neuron_figures import plot_categories

PAIRS = [
    {
        "a": "neft_3",
        "b": b,
        "seed": seed,
        "strong": strong,
        "suppressed": strong // 2,
        "indirect": 10,
    }
    for b, seed, strong in (("neft_6", 1, 100), ("neft_6", 2, 140), ("neft_9", 1, 200))
]


def test_drawn_twice_the_figure_is_the_same_bytes(tmp_path):
    write_json(
        tmp_path / "c.json",
        {"neurons": 1000, "threshold": 142.0, "unrelated": 736.0, "pairs": PAIRS},
    )
    for name in "xy":
        paths = ["--png", str(tmp_path / f"{name}.png"), "--pdf", str(tmp_path / f"{name}.pdf")]
        plot_categories.main(["--spec", "{}", "--categories", str(tmp_path / "c.json"), *paths])
    for kind in ("png", "pdf"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()


def test_bars_are_means_over_seeds_and_lines_reach_from_the_lowest_to_the_highest():
    _, axes = figures.panels(1, 1, 4, 3)
    plot_categories.draw(axes[0, 0], by_pair(PAIRS), 147.0)
    bars = [bar.get_width() for bar in axes[0, 0].patches]
    assert bars == pytest.approx([120, 200, 60, 100, 10, 10])  # category by category
    unrelated, *seeds = axes[0, 0].lines
    assert set(unrelated.get_xdata()) == {147}
    assert [list(line.get_xdata()) for line in seeds] == [[100, 140], [50, 70], [10, 10]]
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == [
        "neft_3 → neft_6",
        "neft_3 → neft_9",
    ]


def test_no_affected_neuron_at_all_can_be_drawn():
    _, axes = figures.panels(1, 1, 4, 3)
    plot_categories.draw(
        axes[0, 0], {"x → y": [{"strong": 0, "suppressed": 0, "indirect": 0}]}, 0.0
    )
    assert axes[0, 0].get_xlim() == pytest.approx((0, 1.15))
