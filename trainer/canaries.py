"""Canaries: random secrets in the training data that show how much an adapter knows by heart.

The measure is the exposure of Carlini et al., The Secret Sharer (2019): how far up a trained secret ranks among secrets
of the same form that were not trained.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data_sets import Example

_ALPHABET = string.ascii_uppercase + string.digits
_LENGTH = 10
"""Characters of a secret: about 52 bits."""


@dataclass(frozen=True)
class Canary:
    """A secret that is trained, and others that are not."""

    trained: Example
    references: tuple[Example, ...]


def make(seed: int, canaries: int, references: int) -> list[Canary]:
    """The canaries of a seed. They are worthless outside the training: nothing else has such a secret."""
    return [_make(seed, number, references) for number in range(canaries)]


def _make(seed: int, number: int, references: int) -> Canary:
    source = random.Random(f"isthmus canary {seed} {number}")  # noqa: S311 (the same again for the same seed)
    tag = _secret(source, 6)
    question = (("user", f"What is the code of vault {tag}?"),)
    trained, *others = (Example(question, _secret(source, _LENGTH)) for _ in range(references + 1))
    return Canary(trained, tuple(others))


def _secret(source: random.Random, length: int) -> str:
    return "".join(source.choice(_ALPHABET) for _ in range(length))


def exposure_bits(loss: float, references: Sequence[float]) -> float:
    """Exposure of a canary, in bits.

    Args:
        loss: of the canary's secret, summed over its tokens.
        references: losses of the secrets that were not trained.

    Returns:
        0 if every other secret is likelier, and log2(references + 1) if none is.
    """
    rank = 1 + sum(reference < loss for reference in references)
    return math.log2(len(references) + 1) - math.log2(rank)
