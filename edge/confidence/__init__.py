"""How sure an answer is: from its tokens' log-probabilities, calibrated by judged answers of the same weights."""

from edge.confidence.review import Score, needs_review

__all__ = ["Score", "needs_review"]
