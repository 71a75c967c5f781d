"""How sure an answer is: from its tokens' log-probabilities, calibrated by judged answers of the same weights."""

from edge.confidence.score import Score

__all__ = ["Score"]
