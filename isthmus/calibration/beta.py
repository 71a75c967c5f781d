"""Beta calibration, fitted by maximum likelihood.

Three parameters, where isotonic regression has as many as there are steps: a few hundred judgements fix them, the
order of scores is kept without ties, and what is calibrated already (a = b = 1, c = 0) is within reach, which Platt's
curve on a probability never is (Kull, Silva Filho, Flach, AISTATS 2017). What the curve cannot follow shows in the
error on answers kept aside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.confidence.calibration import Curve, logs

_STEPS, _ENOUGH = 100, 1e-9


def fit(measures: Sequence[float], rights: Sequence[bool]) -> Curve:
    """The curve of these judgements. `a = b = 0` where the measure tells nothing of what is right."""
    rows = np.array([logs(each) for each in measures])
    inputs = np.column_stack([rows[:, 0], -rows[:, 1], np.ones(len(rows))])
    right = np.array(rights, dtype=float)
    good, bad = right.sum(), len(right) - right.sum()
    # Platt's targets: judgements that a threshold parts without a mistake would else ask for an endless slope.
    targets = np.where(right == 1, (good + 1) / (good + 2), 1 / (bad + 2))
    # A slope below 0 would turn the order of scores round: that part is left out, and the better of what remains taken.
    tried = [_curve(inputs, targets, kept) for kept in ([0, 1, 2], [0, 2], [1, 2], [2])]
    _, at = min((each for each in tried if (each[1][:2] >= 0).all()), key=lambda each: each[0])
    # Rounded, so that another processor's last digit gives no other file.
    a, b, c, highest = (round(float(each), 9) for each in (*at, rows[:, 0].max()))
    return Curve(a=a, b=b, c=c, highest=highest)


def _curve(inputs: np.ndarray, targets: np.ndarray, kept: list[int]) -> tuple[float, np.ndarray]:
    """The loss and the parameters, those that are not kept being 0."""
    at = np.zeros(3)
    at[kept] = _maximum(inputs[:, kept], targets)
    return _loss(inputs, targets, at), at


def _maximum(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Newton's method; a step that makes the likelihood worse is halved."""
    at = np.zeros(inputs.shape[1])
    loss = _loss(inputs, targets, at)
    for _ in range(_STEPS):
        share = _shares(inputs, at)
        slope = inputs.T @ (share - targets)
        curvature = (inputs * (share * (1 - share))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(at)), slope)
        while (next_loss := _loss(inputs, targets, at - step)) > loss and np.abs(step).max() > _ENOUGH:
            step = step / 2
        at, loss = at - step, next_loss
        if np.abs(step).max() < _ENOUGH:
            break
    return at


def _loss(inputs: np.ndarray, targets: np.ndarray, at: np.ndarray) -> float:
    odds = inputs @ at
    return float((np.logaddexp(0, odds) - targets * odds).sum())


def _shares(inputs: np.ndarray, at: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(inputs @ at, -500, 500)))
