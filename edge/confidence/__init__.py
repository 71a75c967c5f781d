"""Scores answers: log-probabilities of their tokens, calibrated with judged answers of the same weights."""

from edge.confidence.score import Score

__all__ = ["Score"]
