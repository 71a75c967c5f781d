"""Says which tokens a line of a bill counts, and how many.

Usage types of Bedrock, read on 2026-12-01: "Understanding your Amazon Bedrock Cost and Usage Report data" (Amazon
Bedrock User Guide) for `*-input-tokens`, `*-output-tokens`, `*-cache-read-input-token-count`,
`*-cache-write-input-token-count` and `*-mantle-…`; the AWS Price List of AmazonBedrockFoundationModels for
`REGION-MP:REGION_InputTokenCount-Units` and the like, whose description says what a unit is (`Million Input Tokens`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from isthmus.usage.bills.lines import BillLine

TokenKind = Literal["input", "cached", "output"]
"""`input`: tokens of prompts that no cache had, with those written to the cache. `cached`: read from the cache."""
KINDS: tuple[TokenKind, ...] = ("input", "cached", "output")

_KINDS: tuple[tuple[str, TokenKind], ...] = (
    ("cachereadinputtoken", "cached"),
    ("cachereadtoken", "cached"),
    ("cachewriteinputtoken", "input"),
    ("cachewritetoken", "input"),
    ("inputtoken", "input"),
    ("outputtoken", "output"),
)
"""Parts of a usage type without its separators, the more exact ones first."""
_SIZES = {
    "token": 1,
    "tokens": 1,
    "1k tokens": 1_000,
    "thousand tokens": 1_000,
    "1m tokens": 1_000_000,
    "million tokens": 1_000_000,
}
_WORDS = ((re.compile(r"\bmillion\b", re.I), 1_000_000), (re.compile(r"\bthousand\b|\b1k\b", re.I), 1_000))


@dataclass(frozen=True)
class TokenCount:
    """Tokens of one kind."""

    kind: TokenKind
    tokens: Decimal


def token_count(line: BillLine) -> TokenCount | None:
    """The tokens of a line. None: it counts something else, or its unit is unknown."""
    kind, size = token_kind(line.usage_type), _size(line)
    return TokenCount(kind, line.quantity * size) if kind is not None and size is not None else None


def token_kind(usage_type: str) -> TokenKind | None:
    """The kind of tokens that a usage type counts. None: it counts something else."""
    plain = re.sub(r"[^a-z0-9]", "", usage_type.lower())
    return next((kind for part, kind in _KINDS if part in plain), None)


def _size(line: BillLine) -> int | None:
    unit = line.unit.strip().lower()
    if unit != "units":
        return _SIZES.get(unit)
    return next((size for word, size in _WORDS if word.search(line.description)), None)
