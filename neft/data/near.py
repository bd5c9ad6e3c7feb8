"""Rows that say nearly the same: found by the words that they share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from neft.data.pool import likeness

Words = list[str]
SHARES = (0.66, 0.8)
"""From which similarity on rows are near duplicates, in what is recorded of splits."""


def similarity(first: Collection[str], second: Collection[str]) -> float:
    """Words that two texts share, of all that they have (Jaccard's index of multisets): 0 … 1."""
    one, other = Counter(first), Counter(second)
    return (one & other).total() / max(1, (one | other).total())


def groups(texts: Sequence[str], share: float) -> list[int]:
    """For each text the number of the first that it hangs together with: through texts of which each
    is at least `share` similar to the next.
    """
    leader = list(range(len(texts)))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for one, other in pairs(texts, texts, share):
        if one < other:
            first, second = sorted((find(one), find(other)))
            leader[second] = first
    return [find(place) for place in range(len(texts))]


def with_one_in(texts: Sequence[str], others: Sequence[str], share: float) -> int:
    """How many of some texts have one among others that is at least `share` similar."""
    return len({one for one, _ in pairs(texts, others, share)})


def pairs(texts: Sequence[str], others: Sequence[str], share: float) -> Iterator[tuple[int, int]]:
    """Every pair of a text and one of the others that are at least `share` similar, by number.

    Two texts of n and m words that are so similar share at least share · max(n, m) words, so one of
    the rarest n - share · n + 1 of the one is among as many of the other (prefix filtering; Chaudhuri
    et al. 2006): only these are looked up.
    """
    split = [[_words(text) for text in some] for some in (texts, others)]
    known = Counter(word for some in split for words in some for word in words)
    index: dict[str, list[int]] = {}
    for number, words in enumerate(split[1]):
        for word in _rarest(words, known, share):
            index.setdefault(word, []).append(number)
    for number, words in enumerate(split[0]):
        near = {other for word in _rarest(words, known, share) for other in index.get(word, ())}
        for other in sorted(near):
            if similarity(words, split[1][other]) >= share:
                yield number, other


def _words(text: str) -> Words:
    """The words of a text; of one that writes no spaces its characters."""
    folded = likeness(text)
    words = folded.split()
    return words if len(words) > 1 else list(folded)


def _rarest(words: Words, known: Counter[str], share: float) -> Words:
    kept = len(words) - math.ceil(share * len(words) - 1e-9) + 1
    return sorted(words, key=lambda word: (known[word], word))[:kept]
