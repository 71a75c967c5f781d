"""Evaluations of models by an organisation's own cases: cases, thresholds, statistics and results."""
