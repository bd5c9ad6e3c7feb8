from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from neft.analysis.neuron_arrays import Cut
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.reporting import figures
from neft.selection.similarity import save_scores
from scripts.neuron_figures import plot_similarity

KEYS = [
    f"model.layers.{layer}.mlp.{kind}" for layer in range(2) for kind in ("up_proj", "down_proj")
]


@pytest.fixture
def distances(tmp_path):
    values = {key: torch.logspace(-6, -2, 50) * (1 + place) for place, key in enumerate(KEYS)}
    save_scores(tmp_path / "distances.safetensors", values, {})
    sites = {key: Site(key, key.rsplit(".", 1)[1], "row", 0, 50, 4, 0) for key in KEYS}
    indices = {
        key: torch.tensor([49] if key == KEYS[-1] else [], dtype=torch.int32) for key in KEYS
    }
    NeuronMask(indices, sites, "hash", 4).save(tmp_path / "mask.safetensors")
    return tmp_path


def plot(distances, folder, names):
    paths = ["--png", str(folder / "similarity.png"), "--pdf", str(folder / "similarity.pdf")]
    masks = ["--masks", *[str(distances / "mask.safetensors")] * len(names)]
    spec = json.dumps({"masks": names})
    plot_similarity.main(
        ["--spec", spec, "--distances", str(distances / "distances.safetensors"), *masks, *paths]
    )
    return [(folder / f"similarity.{kind}").read_bytes() for kind in ("png", "pdf")]


def test_drawn_twice_the_figure_is_the_same_bytes(distances, tmp_path):
    assert plot(distances, tmp_path / "a", ["neft"]) == plot(distances, tmp_path / "b", ["neft"])


def test_without_masks_the_distribution_alone_is_drawn(distances, tmp_path):
    assert plot(distances, tmp_path / "a", []) != plot(distances, tmp_path / "b", ["neft"])


def test_every_neuron_that_moved_is_in_the_histogram_and_the_others_are_counted():
    _, axes = figures.panels(1, 1, 4, 3)
    plot_similarity.draw(
        axes[0, 0], {"mlp.up_proj": np.array([0, 0, 1e-5, 1e-4, 1e-3], np.float32)}
    )
    (stairs,) = axes[0, 0].patches
    assert stairs.get_data().values.sum() == pytest.approx(60)  # percent
    assert stairs.get_label() == "mlp.up_proj (5 neurons, 2 unmoved)"


def test_a_cut_is_drawn_where_it_is_and_points_to_the_neurons_chosen():
    _, axes = figures.panels(1, 1, 4, 3)
    plot_similarity.mark(
        axes[0, 0], {"low": Cut(1e-3, farthest=True), "high": Cut(1e-5, farthest=False)}
    )
    assert [list(line.get_xdata()) for line in axes[0, 0].lines] == [[1e-3, 1e-3], [1e-5, 1e-5]]
    assert [text.get_text() for text in axes[0, 0].texts if text.get_text()] == ["low →", "← high"]


def test_the_names_of_many_masks_stay_in_the_figure():
    figure, axes = figures.panels(1, 1, 7.2, 4.2)
    plot_similarity.mark(
        axes[0, 0], {f"low-{n}": Cut(n * 1e-5, farthest=True) for n in range(1, 8)}
    )
    FigureCanvasAgg(figure).draw()
    assert all(
        figure.bbox.contains(*corner)
        for text in axes[0, 0].texts
        for corner in text.get_window_extent().corners()
    )


def test_a_probe_that_moved_nothing_is_an_error(tmp_path):
    save_scores(tmp_path / "distances.safetensors", {key: torch.zeros(4) for key in KEYS}, {})
    with pytest.raises(NeftError, match=r"distances\.safetensors: no neuron moved at all"):
        plot(tmp_path, tmp_path, [])
