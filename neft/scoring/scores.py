"""What a metric gives back, and two ways to get there: by sacrebleu, and as the mean of segment
scores.

Both give score, interval, paired test and a signature from which anyone can draw the same resamples
again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neft.errors import NeftError
from neft.storage import files

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.base import Metric

# sacrebleu's own default.
SEED = "12345"
CONFIDENCE = 0.95

Rows = Sequence[dict[str, Any]]
"""Output rows: {id, source, reference, output, text, finished, tokens}, for choices also scores."""


@dataclass(frozen=True)
class Score:
    """A corpus score on the scale from 0 to 100 with its interval, and the score of each
    segment.
    """

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


@dataclass(frozen=True)
class Comparison:
    """A score beside a baseline's on the same segments; p: how often chance alone gives a
    difference at least as large.

    Either way: two-sided.
    """

    value: float
    baseline_value: float
    p: float
    signature: str


def score(
    corpus: Callable[[], Metric], segment: Callable[[], Metric], rows: Rows, bootstrap: int
) -> Score:
    """Score output rows with sacrebleu and resample them `bootstrap` times.

    corpus and segment make a fresh metric for the whole corpus and for single segments (BLEU
    smooths these differently). The interval is the one that sacrebleu prints: mean ± half the width
    between the 2.5th and the 97.5th percentile. Raises NeftError if there are no rows or a text is
    missing.
    """
    signature, (result,) = _sacrebleu({"system": rows}, corpus, bootstrap)
    single = segment()
    return Score(
        value=_percent(result.score),
        low=_percent(result.mean - result.ci),
        high=_percent(result.mean + result.ci),
        confidence=CONFIDENCE,
        signature=signature,
        segments=[
            _percent(single.sentence_score(row["output"], [row["reference"]]).score) for row in rows
        ],
    )


def paired(corpus: Callable[[], Metric], rows: Rows, baseline: Rows, bootstrap: int) -> Comparison:
    """Compare two systems by sacrebleu's paired bootstrap (Koehn 2004) with `bootstrap` resamples;
    p is at least 2 / (n + 1).

    p is twice sacrebleu's, which is one-sided: it counts resamples whose |difference| exceeds the
    mean one by more than |d|, and where d is more than noise these all lie on its own side (it
    tells one pair of equal systems in ten apart at 0.05). Raises NeftError if there are no rows, a
    text is missing or the rows don't pair up.
    """
    signature, (base, system) = _sacrebleu(
        {"baseline": baseline, "system": rows}, corpus, bootstrap
    )
    # sacrebleu counts resamples that are strictly farther apart than the scores are: none, if the
    # systems are the same, and its p is then the smallest there is. No difference is no evidence.
    p = 1.0 if system.score == base.score else min(1.0, 2 * float(system.p_value))
    return Comparison(_percent(system.score), _percent(base.score), p, signature)


def _sacrebleu(
    systems: dict[str, Rows], corpus: Callable[[], Metric], bootstrap: int
) -> tuple[str, list[Any]]:
    """Run sacrebleu's test: the signature, and of each system a result with score, mean, ci and
    (but of the first) p_value.
    """
    from sacrebleu.significance import PairedTest

    pairs = [texts(rows) for rows in systems.values()]
    if len({tuple(references) for _, references in pairs}) > 1:
        raise NeftError(
            "a paired test needs the same references in the same order for both systems"
        )
    outputs: list[tuple[str, Sequence[str]]] = [
        (name, one) for name, (one, _) in zip(systems, pairs, strict=True)
    ]
    with _seed():
        test = PairedTest(
            outputs, {"metric": corpus()}, [pairs[0][1]], test_type="bs", n_samples=bootstrap
        )
        signatures, results = test()
    ((name, signature),) = signatures.items()
    return str(signature), list(results[name])


def mean(
    segments: Sequence[float],
    signature: str,
    bootstrap: int,
    details: dict[str, float] | None = None,
    notes: Sequence[str] = (),
    weights: Sequence[float] | None = None,
) -> Score:
    """Score a corpus by the mean of its segments' scores, on whatever scale these have; weights:
    how much each counts.

    The interval lies between the 2.5th and the 97.5th percentile of the means of `bootstrap`
    resamples; the standard error is that of a mean, s / √n (None for one segment), and with
    weights, which are resampled with their segments, that of a ratio of sums, linearised.
    signature: what made the segments' scores; the method is added to it. Raises NeftError if there
    are no segments or one is not a finite number.
    """
    import numpy as np

    values, counts, n = _finite(segments), _weights(weights, len(segments)), len(segments)
    low, high = np.percentile(
        _means(values, counts, bootstrap), [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    )
    value = float(np.average(values, weights=counts))
    apart = counts * (values - value) / counts.mean()
    error = float((apart @ apart / (n - 1) / n) ** 0.5) if n > 1 else None
    return Score(
        value=value,
        low=float(low),
        high=float(high),
        confidence=CONFIDENCE,
        signature=_resampled(signature, bootstrap),
        segments=values.tolist(),
        standard_error=error,
        details=details or {},
        notes=list(notes),
    )


def paired_means(
    segments: Sequence[float],
    baseline: Sequence[float],
    signature: str,
    bootstrap: int,
    weights: Sequence[float] | None = None,
) -> Comparison:
    """Compare the means of two systems' scores on the same segments by a paired bootstrap with
    `bootstrap` resamples.

    p: how often the difference of a resample, less the mean of all resamples', is at least as far
    from zero as the real one, on either side (a shifted bootstrap, Efron and Tibshirani 1993,
    16.4); (count + 1) / (n + 1). Raises NeftError as `mean`, and if the numbers of segments differ.
    """
    import numpy as np

    ours, theirs = _finite(segments), _finite(baseline)
    if len(ours) != len(theirs):
        raise NeftError(
            f"a paired test needs scores of the same segments, got {len(ours)} and {len(theirs)}"
        )
    counts = _weights(weights, len(ours))
    value, other = (
        float(np.average(ours, weights=counts)),
        float(np.average(theirs, weights=counts)),
    )
    # [bootstrap]: the same resamples for both
    apart = _means(ours, counts, bootstrap) - _means(theirs, counts, bootstrap)
    count = int((np.abs(apart - apart.mean()) >= abs(value - other)).sum())
    p = (count + 1) / (bootstrap + 1)
    return Comparison(value, other, p, _resampled(signature, bootstrap))


def _weights(weights: Sequence[float] | None, n: int) -> np.ndarray:
    import numpy as np

    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)


def _means(values: np.ndarray, weights: np.ndarray, bootstrap: int) -> np.ndarray:
    """Weighted means of resamples, [bootstrap] float64; for a given number of values always the
    same resamples.
    """
    import numpy as np

    # As sacrebleu draws them, but in blocks: all indices at once take 8 bytes a segment and
    # resample.
    draw = np.random.default_rng(int(SEED))
    picks = (draw.choice(len(values), size=len(values), replace=True) for _ in range(bootstrap))
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


def _resampled(signature: str, bootstrap: int) -> str:
    return f"{signature}|mean|bs:{bootstrap}|seed:{SEED}"


def _percent(value: float) -> float:
    """Into 0 to 100: identical texts give 100.00000000000004, and half an interval's width can
    reach past an end.
    """
    return min(100.0, max(0.0, float(value)))


def read_rows(outputs: str, segments: str | None = None) -> list[dict[str, Any]]:
    """Read output rows; with a file of segment scores each row gets its `segment`, and the rest of
    that file as `scorer`.

    Raises NeftError, naming the file, if one can't be read or the scores don't pair up with the
    rows.
    """
    rows = files.read_rows(outputs)
    if segments is None:
        return rows
    scorer = files.read_json(segments)
    values = scorer.pop("segments")
    if len(values) != len(rows):
        raise NeftError(
            f"{segments}: {len(values)} scores, but {outputs} has {len(rows)} rows; make the scores"
            " again"
        )
    return [
        row | {"segment": value, "scorer": scorer} for row, value in zip(rows, values, strict=True)
    ]


def check_aligned(rows: Rows, others: Rows, path: str, other_path: str) -> None:
    """A paired test resamples rows by position. Raises NeftError at the first that isn't the same
    sentence in both files.
    """
    if len(rows) != len(others):
        raise NeftError(
            f"{path} has {len(rows)} rows but {other_path} has {len(others)}; both must come from"
            " the same test set"
        )
    for number, (row, other) in enumerate(zip(rows, others, strict=True), start=1):
        for key in ("id", "reference"):
            if row[key] != other[key]:
                raise NeftError(
                    f"row {number}: {key} is {row[key]!r} in {path} but {other[key]!r} in"
                    f" {other_path}; it must be the same"
                )


def texts(rows: Rows) -> tuple[list[str], list[str]]:
    """Outputs and references of output rows. Raises NeftError if there are no rows or one of them
    lacks a text.
    """
    if not rows:
        raise NeftError("scoring needs at least one output, got 0")
    for number, row in enumerate(rows, start=1):
        for key in ("output", "reference"):
            if not isinstance(row.get(key), str):
                raise NeftError(
                    f"{key} {number} of {len(rows)}: expected text, got {row.get(key)!r}"
                )
    return [row["output"] for row in rows], [row["reference"] for row in rows]


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
