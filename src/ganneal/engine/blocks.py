"""A population in blocks whose activations stay in the processor's cache."""

import itertools
import math

BLOCK = 16
BLOCK_WORK = 4e8
"""Members of a population that are stepped together on a CPU: at most so many, and so many multiply-adds together (but
always 4), so that activations stay in the cache and small networks share their overhead."""


def blocks(members: int, each: float) -> list[slice]:
    """Members of so many multiply-adds each in blocks, as equal as can be, so that at most two sizes are compiled."""
    count = math.ceil(members / min(BLOCK, max(4, int(BLOCK_WORK / each))))
    edges = [round(k * members / count) for k in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
