"""Tables of the publication: what all kinds of them may be asked for, and the published values that stand beside ours.

Published values lie in CSV files with a line a value (configs/paper-results/). Read at every start of Snakemake, so nothing
heavy is imported here.
"""

from __future__ import annotations

from pydantic import Field

from neft.schema import Strict


class TableSpec(Strict):
    """What every table of the publication has in common; the base of the `Spec` of a plug-in in `neft/tables/`."""

    title: str = Field(min_length=1)
    """The table's heading."""
    published: str | None = None
    """A CSV file of published values to put beside ours, relative to where Snakemake is started."""
