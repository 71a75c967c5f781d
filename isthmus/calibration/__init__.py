"""Calibrations of models' scores: judged answers in, a curve and what it is worth out."""
