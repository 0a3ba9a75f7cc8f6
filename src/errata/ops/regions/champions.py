"""The best single column and the best pairs of columns, whether or not their gain pays for their cuts.

A weak region of one or two columns loses to the price of its cuts, or to a longer rule that follows chance. Few such
regions are worth a test on held-out rows all the same: the test judges, and each costs the others little power.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from errata.ops.regions.boundaries import Fitted, climb, fitted, settle
from errata.ops.regions.ground import Ground
from errata.ops.regions.scan import Start, falling

__all__ = ["champions"]

# More of either finds nothing more on planted worlds, and costs the regions that are found power (measured).
_SINGLES = 1
_PAIRS = 2
# How many of the leading starts, in bins, are fitted on the raw values.
_LOOKED_AT = 6
# Jaccard overlap from which two regions are one.
_SAME = 0.5
# A pair that shares a column, and half of its members or of the other's, with a region worth more by this much
# (log-likelihood) is that region cut once more by chance; in the proof it would stand in its way.
_MARGIN = 1.0


def champions(
    singles: Sequence[Start], pairs: Sequence[Start], ground: Ground, *, beside: Sequence[Fitted]
) -> list[Fitted]:
    """The best regions of one column and of two, fitted on raw values with all their columns kept, best first.

    singles, pairs  where regions may lie, see `errata.ops.regions.scan`
    beside          the regions that are known, on the same ground; what mostly overlaps one of them is left out
    """
    found: list[Fitted] = []
    for starts, most in ((singles, _SINGLES), (pairs, _PAIRS)):
        ranked = sorted(starts, key=lambda start: falling(start.value))[:_LOOKED_AT]
        moved = [settle(climb(fitted(start.literals, ground), ground, drop=False), ground) for start in ranked]
        new = 0
        for state in sorted(moved, key=lambda state: -state.value):
            if new < most and state.gain > 0.0 and not any(_known(state, other) for other in (*beside, *found)):
                found.append(state)
                new += 1
    return found


def _known(state: Fitted, other: Fitted) -> bool:
    shared = np.count_nonzero(state.members & other.members)
    mine, theirs = np.count_nonzero(state.members), np.count_nonzero(other.members)
    if shared >= _SAME * (mine + theirs - shared):
        return True
    columns = {literal.column for literal in state.literals} & {literal.column for literal in other.literals}
    overlaps = bool(columns) and shared >= _SAME * min(mine, theirs)
    return bool(overlaps and len(state.literals) > 1 and state.value < other.value - _MARGIN)
