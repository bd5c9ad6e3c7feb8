"""The score of one system with its interval, in two ways: by sacrebleu, and as the mean of segment
scores.

Both give a signature from which anyone can draw the same resamples again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field

from neft.errors import NeftError
from neft.schema import Strict
from neft.scoring.rows import Rows, texts

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.base import Metric

CONFIDENCE = 0.95


class Resampled(Strict):
    """Options of every metric whose intervals come from resamples and whose tests from trials."""

    bootstrap: int = Field(1000, ge=100)
    """Resamples for the interval of one system's score."""
    trials: int = Field(10000, ge=100)
    """Random swaps for the test of two systems; few rows are swapped in every possible way."""
    seed: int = Field(12345, ge=0)
    """Seed of resamples and swaps. The default is sacrebleu's."""


@dataclass(frozen=True)
class Score:
    """A corpus score on the metric's own scale with its interval, and the score of each segment."""

    value: float
    low: float
    high: float
    confidence: float
    signature: str
    segments: list[float]
    standard_error: float | None = None
    """Of the value, on the same scale; None where the statistic has no simple one."""
    details: dict[str, float] = field(default_factory=dict)
    """Other numbers of the same measurement by name, such as precision and recall."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know to trust the value; tables mark it."""


def by_sacrebleu(
    corpus: Metric, segment: Metric, rows: Rows, options: Resampled, highest: float
) -> Score:
    """Score output rows with sacrebleu.

    corpus and segment score the whole corpus and single segments (BLEU smooths these differently).
    The interval is the one that sacrebleu prints: mean ± half the width between the 2.5th and the
    97.5th percentile of `options.bootstrap` resamples, cut where no score can lie: below 0 and
    above `highest`. Raises NeftError if there are no rows or a
    text is missing.
    """
    from sacrebleu.significance import PairedTest

    outputs, references = texts(rows)
    with _seed(options.seed):
        # Of one system it computes the interval alone, as the command line does.
        test = PairedTest(
            [("system", outputs)],
            {"metric": corpus},
            [references],
            test_type="bs",
            n_samples=options.bootstrap,
        )
        signatures, results = test()
    ((name, signature),) = signatures.items()
    result: Any = results[name][0]

    def within(score: float) -> float:
        # Identical texts give 100.00000000000004, and half an interval's width can reach past an end.
        return min(highest, max(0.0, float(score)))

    return Score(
        value=within(result.score),
        low=within(result.mean - result.ci),
        high=within(result.mean + result.ci),
        confidence=CONFIDENCE,
        signature=str(signature),
        segments=[
            within(segment.sentence_score(row["output"], [row["reference"]]).score) for row in rows
        ],
    )


def sacrebleu_statistics(metric: Metric, rows: Rows) -> np.ndarray:
    """What sacrebleu counts in each row, [rows, counts] float64; it sums these to score a corpus.

    Afterwards the metric knows its signature. Raises NeftError as `by_sacrebleu`.
    """
    import numpy as np

    outputs, references = texts(rows)
    # What sacrebleu's own significance tests call; it has no public name.
    counts = metric._extract_corpus_statistics(outputs, [references])
    return np.asarray(counts, dtype=np.float64)


def ratio(sums: np.ndarray) -> np.ndarray:
    """The mean of segments' scores from the sums [..., 2] of score times weight and of weight."""
    quotient: np.ndarray = sums[..., 0] / sums[..., 1]
    return quotient


def mean_score(
    segments: Sequence[float],
    signature: str,
    options: Resampled,
    details: dict[str, float] | None = None,
    notes: Sequence[str] = (),
    weights: Sequence[float] | None = None,
) -> Score:
    """Score a corpus by the mean of its segments' scores, on whatever scale these have; weights:
    how much each counts.

    The interval lies between the 2.5th and the 97.5th percentile of the means of
    `options.bootstrap` resamples; the standard error is that of a mean, s / √n (None for one segment), and with
    weights, which are resampled with their segments, that of a ratio of sums, linearised.
    signature: what made the segments' scores; the method is added to it. Raises NeftError if there
    are no segments or one is not a finite number.
    """
    import numpy as np

    values, counts, n = _finite(segments), _weights(weights, len(segments)), len(segments)
    low, high = np.percentile(
        _means(values, counts, options), [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    )
    value = float(np.average(values, weights=counts))
    apart = counts * (values - value) / counts.mean()
    error = float((apart @ apart / (n - 1) / n) ** 0.5) if n > 1 else None
    return Score(
        value=value,
        low=float(low),
        high=float(high),
        confidence=CONFIDENCE,
        signature=f"{signature}|mean|bs:{options.bootstrap}|seed:{options.seed}",
        segments=values.tolist(),
        standard_error=error,
        details=details or {},
        notes=list(notes),
    )


def _weights(weights: Sequence[float] | None, n: int) -> np.ndarray:
    import numpy as np

    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)


def _means(values: np.ndarray, weights: np.ndarray, options: Resampled) -> np.ndarray:
    """Weighted means of resamples, [options.bootstrap] float64; for a given number of values always the
    same resamples.
    """
    import numpy as np

    # As sacrebleu draws them, but in blocks: all indices at once take 8 bytes a segment and
    # resample.
    draw = np.random.default_rng(options.seed)
    n = len(values)
    picks = (draw.choice(n, size=n, replace=True) for _ in range(options.bootstrap))
    return np.array([np.average(values[pick], weights=weights[pick]) for pick in picks])


def _finite(values: Sequence[float]) -> np.ndarray:
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        raise NeftError("scoring needs at least one output, got 0")
    if not np.isfinite(found).all():
        place = int(np.argmin(np.isfinite(found)))
        raise NeftError(
            f"score {place + 1} of {len(found)}: expected a finite number, got {found[place]}"
        )
    return found


@contextmanager
def _seed(seed: int) -> Iterator[None]:
    """Fix sacrebleu's seed, which it takes from the environment, and put back what was there."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
