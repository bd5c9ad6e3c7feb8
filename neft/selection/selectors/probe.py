"""Neurons along which classes are told apart (Xu et al. 2025, §3.1): ridge classifiers on each
layer's mean hidden states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat

from neft.core.neurons import layer_of
from neft.errors import NeftError
from neft.selection.budgets import MaskSpec, Ranking

if TYPE_CHECKING:
    from torch import Tensor

    from neft.core.neurons import Site
    from neft.selection.states import States

READS = frozenset({"states", "weights"})


class Spec(MaskSpec):
    """The neurons nearest in direction to what tells classes apart in their layer. For tasks with a
    fixed list of answers.
    """

    kind: Literal["probe"]
    """The plug-in's name."""
    axis: Literal["natural"] = "natural"
    """`natural`: a neuron has the model's hidden size, as the class vectors that it is compared
    with have.
    """
    alpha: PositiveFloat = 1.0
    """Strength of the ridge classifiers' regularization."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By cosine with the class vectors of their layer, the largest over the classes; the report has
    each layer's accuracy.
    """
    import torch
    from torch.nn import functional

    from neft.selection import base_vectors

    states: States = inputs["states"]
    directions, accuracy = zip(*_classify(states, spec.alpha), strict=True)
    scores = {}
    for key, vectors in base_vectors.vectors(inputs["weights"], sites):
        layer = layer_of(key)
        if not 0 <= layer < len(directions):
            raise NeftError(
                f"selector probe: {key} is in none of the {len(directions)} layers whose hidden"
                " states were read"
            )
        scores[key] = (
            functional.normalize(vectors) @ functional.normalize(directions[layer]).T
        ).amax(1)
    shares = torch.bincount(states.classes["dev"], minlength=len(states.choices)) / len(
        states.classes["dev"]
    )
    rows = {split: len(classes) for split, classes in states.classes.items()}
    report = {
        "accuracy": list(accuracy),
        "majority": shares.max().item(),
        "classes": states.choices,
        "rows": rows,
    }
    return Ranking(scores, report)


def _classify(states: States, alpha: float) -> Iterator[tuple[Tensor, float]]:
    """Per layer the class vectors [classes, hidden] of a classifier fitted on train rows, and its
    accuracy on dev rows.
    """
    import torch
    from sklearn.linear_model import RidgeClassifier

    if (states.classes["train"] == states.classes["train"][0]).all():
        raise NeftError(
            "selector probe: all train rows have the same class, so there is nothing to tell apart"
        )
    wanted, expected = (states.classes[split].numpy() for split in ("train", "dev"))
    for train, dev in zip(states.means["train"], states.means["dev"], strict=True):
        classifier = RidgeClassifier(alpha=alpha).fit(train.numpy(), wanted)
        vectors = torch.as_tensor(classifier.coef_, dtype=torch.float32).reshape(-1, train.shape[1])
        # Of two classes one vector says all: the other class lies the opposite way.
        yield (
            (torch.cat([-vectors, vectors]) if len(vectors) == 1 else vectors),
            float(classifier.score(dev.numpy(), expected)),
        )
