from __future__ import annotations

import pytest

from neft.reporting import figures


def drawing():
    figure, axes = figures.panels(1, 2, 2.0, 1.5)
    axes[0, 0].plot([1, 2, 3], label="a")
    axes[0, 1].set_xlabel("steps")
    return figure


def test_drawn_twice_the_files_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        figures.save(drawing(), tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
    for kind in ("png", "pdf"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


def test_no_date_and_no_version_is_written(tmp_path):
    figures.save(drawing(), tmp_path / "a.png", tmp_path / "a.pdf")
    for word in (b"CreationDate", b"Producer", b"Matplotlib", b"Software"):
        assert word not in (tmp_path / "a.png").read_bytes()
        assert word not in (tmp_path / "a.pdf").read_bytes()


def test_pictures_are_at_least_200_dots_per_inch(tmp_path):
    figures.save(drawing(), tmp_path / "a.png", tmp_path / "a.pdf")
    header = (tmp_path / "a.png").read_bytes()[16:24]
    assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (800, 300)


def test_panels_come_as_a_grid_also_when_there_is_one():
    assert figures.panels(1, 1, 2.0, 2.0)[1].shape == (1, 1)


def test_thirty_names_have_thirty_looks_and_the_first_eight_differ_in_colour():
    names = [f"method{n}" for n in range(30)]
    looks = figures.styles(names)
    assert len({(look.color, look.line, look.marker) for look in looks.values()}) == 30
    assert len({looks[name].color for name in names[:8]}) == 8


def test_a_name_has_one_look_however_often_it_occurs():
    assert figures.styles(["a", "b", "a"]) == figures.styles(["a", "b"])


def test_smoothing_keeps_a_constant_and_starts_at_the_first_value():
    assert figures.smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    # 0.9-weighted mean of 1 and 3, corrected by 1 - 0.9²: (0.09 + 0.3) / 0.19
    assert figures.smooth([1.0, 3.0]) == pytest.approx([1.0, 0.39 / 0.19])


def test_a_logarithmic_axis_has_plain_numbers():
    figure, axes = figures.panels(1, 1, 3.0, 2.0)
    axes[0, 0].plot([0.4, 12], [1, 2])
    figures.log_x(axes[0, 0])
    figure.canvas.draw()
    low, high = axes[0, 0].get_xlim()
    shown = [
        label.get_text()
        for label in axes[0, 0].get_xticklabels()
        if low <= label.get_position()[0] <= high
    ]
    assert shown == ["0.5", "1", "2", "5", "10"]
