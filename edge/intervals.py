"""Confidence intervals and agreement, from counts."""

from __future__ import annotations

import math
from collections.abc import Mapping


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z, share = 1.959964, right / of
    centre, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + z * z / of)), min(1.0, (centre + spread) / (1 + z * z / of))


def cohens_kappa(pairs: Mapping[tuple[str, str], int]) -> float | None:
    """Agreement of two judgements beyond chance: 1 is full agreement, 0 is that of chance. None: chance explains all.

    `pairs`: how often the first said one word and the second another (Cohen, 1960).
    """
    total = sum(pairs.values())
    if total == 0:
        return None
    words = {word for pair in pairs for word in pair}
    agreed = sum(pairs.get((word, word), 0) for word in words) / total
    by_chance = sum(
        sum(count for pair, count in pairs.items() if pair[0] == word)
        * sum(count for pair, count in pairs.items() if pair[1] == word)
        for word in words
    ) / (total * total)
    return None if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)
