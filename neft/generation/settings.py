"""What a user may set about generation. Read at every start of Snakemake, so nothing heavy is
imported here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from neft.schema import Strict


class Generation(Strict):
    """Greedy generation of test outputs."""

    max_new_tokens: PositiveInt = 128
    """Longest output in tokens, the end token included; an output that was cut there is counted as
    unfinished.
    """
    batch_size: PositiveInt = 32
    """Prompts at once; in float32 outputs are the same for any (but for rounding: a tie of two
    tokens may fall differently).
    """
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of weights and products. bfloat16 takes half the memory and, on a GPU, less
    time, but rounds a prompt differently in batches of other shapes: on an H100 14 of 24 answers
    differed from those to the same prompts one by one.
    """
