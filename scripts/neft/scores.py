"""What a metric gives back, and how a sacrebleu metric gives it: score, interval, paired test and signature."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neft.errors import NeftError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

# sacrebleu's own default. It stands in every signature, so that anyone can draw the same resamples again.
SEED = "12345"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Score:
    """A corpus score from 0 to 100 with its bootstrap interval, and the score of each segment."""

    value: float
    low: float
    high: float
    confidence: float
    signature: str
    segments: list[float]


@dataclass(frozen=True)
class Comparison:
    """A score beside a baseline's on the same segments; p: how often chance alone gives a difference at least as large."""

    value: float
    baseline_value: float
    p: float
    signature: str


def score(
    corpus: Callable[[], Metric],
    segment: Callable[[], Metric],
    outputs: Sequence[str],
    references: Sequence[str],
    bootstrap: int,
) -> Score:
    """Score a corpus with sacrebleu and resample it `bootstrap` times.

    corpus and segment make a fresh metric for the whole corpus and for single segments (BLEU smooths these differently). The
    interval is the one that sacrebleu prints: mean ± half the width between the 2.5th and the 97.5th percentile.
    Raises NeftError if texts are missing or don't pair up.
    """
    signature, (result,) = _bootstrap(corpus, {"system": outputs}, references, bootstrap)
    single = segment()
    return Score(
        value=_percent(result.score),
        low=_percent(result.mean - result.ci),
        high=_percent(result.mean + result.ci),
        confidence=CONFIDENCE,
        signature=signature,
        segments=[_percent(single.sentence_score(o, [r]).score) for o, r in zip(outputs, references, strict=True)],
    )


def paired(
    corpus: Callable[[], Metric], outputs: Sequence[str], baseline: Sequence[str], references: Sequence[str], bootstrap: int
) -> Comparison:
    """Compare two systems by sacrebleu's paired bootstrap (Koehn 2004) with `bootstrap` resamples; p is at least 1 / (n + 1).

    Raises NeftError if texts are missing or don't pair up.
    """
    signature, (base, system) = _bootstrap(corpus, {"baseline": baseline, "system": outputs}, references, bootstrap)
    # sacrebleu counts resamples that are strictly farther apart than the scores are: none, if the systems are the same, and its
    # p is then the smallest there is (0.001). No difference is no evidence.
    p = 1.0 if system.score == base.score else float(system.p_value)
    return Comparison(_percent(system.score), _percent(base.score), p, signature)


def _bootstrap(
    corpus: Callable[[], Metric], systems: dict[str, Sequence[str]], references: Sequence[str], bootstrap: int
) -> tuple[str, list[Any]]:
    """Run sacrebleu's test: the signature, and of each system a result with score, mean, ci and (but of the first) p_value."""
    from sacrebleu.significance import PairedTest

    for outputs in systems.values():
        _check(outputs, references)
    with _seed():
        test = PairedTest(list(systems.items()), {"metric": corpus()}, [references], test_type="bs", n_samples=bootstrap)
        signatures, results = test()
    ((name, signature),) = signatures.items()
    return str(signature), list(results[name])


def _percent(value: float) -> float:
    """Into 0 to 100: identical texts give 100.00000000000004, and half an interval's width can reach past an end."""
    return min(100.0, max(0.0, float(value)))


def _check(outputs: Sequence[str], references: Sequence[str]) -> None:
    if not outputs or len(outputs) != len(references):
        raise NeftError(
            f"scoring needs one reference for each of at least one output, got {len(outputs)} and {len(references)}"
        )
    for what, texts in (("output", outputs), ("reference", references)):
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise NeftError(f"{what} {number} of {len(texts)}: expected text, got {text!r}")


@contextmanager
def _seed() -> Iterator[None]:
    """Fix sacrebleu's seed, which it takes from the environment, and put back what was there."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = SEED
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
