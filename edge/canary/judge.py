"""Says when a canary fails too often, from the first requests on, also if it begins to fail late.

Every request of the canary is a bet against "it fails no more often than is allowed". Whoever would lose starts again
with a capital of 1, so long success does not hide a sudden failure. While the canary fails as often as is allowed, a
capital of `CAPITAL` comes once in `CAPITAL` requests on average, or more rarely (an e-detector: Shin, Ramdas, Rinaldo
2024, "E-detectors: a nonparametric framework for sequential change detection"). What is allowed follows from the
version in use, at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CAPITAL = 100_000
"""Capital at which the canary is stopped."""
ALLOWED_MORE, ALLOWED_TIMES = 0.01, 2.0
"""A canary may fail so much more often than the version in use: in absolute terms, and by this factor."""
UNKNOWN_RATE = 0.05
"""Allowed while too few requests of the version in use have ended."""
FEW = 20
"""Requests of the version in use below which its rate is not known."""
MEMORY = 500
"""Requests of the version in use that count: about so many of the latest."""
IN_A_ROW = 5
"""First requests of a canary that all fail: then it is stopped, unless the version in use fails too."""
_SIZES = tuple(step / 8 for step in range(1, 9))
"""Alternatives that the capital is spread over: so far from what is allowed to failing always."""
_HIGHEST = 0.99


@dataclass
class Judge:
    """The requests of one canary and of the version in use, at one copy of a gateway."""

    answered: int = 0
    """Requests of the canary that ended."""
    failed: int = 0
    _capitals: list[float] = field(default_factory=lambda: [1.0] * len(_SIZES))
    _in_use: float = 0.0
    _in_use_failed: float = 0.0
    _row: int = 0

    def note_in_use(self, *, failed: bool) -> None:
        """Take a request of the version in use."""
        fading = 1 - 1 / MEMORY
        self._in_use = self._in_use * fading + 1
        self._in_use_failed = self._in_use_failed * fading + failed

    @property
    def allowed(self) -> float:
        """Share of the canary's requests that may fail."""
        if self._in_use < FEW:
            return UNKNOWN_RATE
        rate = self._in_use_failed / self._in_use
        return min(0.9, ALLOWED_MORE + ALLOWED_TIMES * rate)

    def note_canary(self, *, failed: bool) -> bool:
        """Take a request of the canary, and return whether the canary has to stop."""
        allowed = self.allowed
        self.answered += 1
        self.failed += failed
        self._row = self._row + 1 if failed else 0
        for number, size in enumerate(_SIZES):
            alternative = min(_HIGHEST, allowed + (1 - allowed) * size)
            ratio = alternative / allowed if failed else (1 - alternative) / (1 - allowed)
            self._capitals[number] = max(1.0, self._capitals[number]) * ratio
        if sum(self._capitals) / len(_SIZES) >= CAPITAL:
            return True
        # A version in use that fails as well says that something else is broken.
        return self._row == self.answered >= IN_A_ROW and not self._in_use_fails

    @property
    def _in_use_fails(self) -> bool:
        return self._in_use_failed * 2 >= self._in_use > 0
