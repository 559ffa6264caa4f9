"""Why packing shows mode collapse (Lin et al. 2018): the total variation between m-fold products of two laws.

Two models at the same total variation from the data can be far apart in how it grows with m: one that misses a part of
the data wholly is told from it sooner than one that is wrong a little everywhere.
"""

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

from ganneal.errors import UsageError


def packed_total_variation(p: Sequence[float], q: Sequence[float], m: int) -> float:
    """TV(P^m, Q^m) of laws on finitely many cells, exactly: half the sum over m-tuples of |prod p - prod q|.

    >>> missing = [0.0, 1.0]      # of data [0.2, 0.8]
    >>> [round(packed_total_variation([0.2, 0.8], missing, m), 3) for m in (1, 2, 3)]
    [0.2, 0.36, 0.488]

    Raises UsageError unless p and q are laws on the same cells and m is 1 to 20.
    """
    if len(p) != len(q) or min([*p, *q]) < 0 or any(abs(sum(law) - 1) > 1e-9 for law in (p, q)) or not 1 <= m <= 20:
        raise UsageError("p, q, m: allowed: two laws on the same cells, packs of 1 to 20")
    total = 0.0
    for cells in combinations_with_replacement(range(len(p)), m):
        counts = [cells.count(cell) for cell in set(cells)]
        ways = math.factorial(m) / math.prod(map(math.factorial, counts))
        total += ways * abs(math.prod(p[c] for c in cells) - math.prod(q[c] for c in cells))
    return total / 2
