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
    rows = np.array([logs(measure) for measure in measures])
    inputs = np.column_stack([rows[:, 0], -rows[:, 1], np.ones(len(rows))])
    right = np.array(rights, dtype=float)
    good, bad = right.sum(), len(right) - right.sum()
    # Platt's targets: judgements that a threshold parts without a mistake would else ask for an endless slope.
    targets = np.where(right == 1, (good + 1) / (good + 2), 1 / (bad + 2))
    # A slope below 0 would turn the order of scores round: that part is left out, and the better of what remains taken.
    fits = [_curve(inputs, targets, kept_columns) for kept_columns in ([0, 1, 2], [0, 2], [1, 2], [2])]
    _, parameters = min(
        (fitted for fitted in fits if (fitted[1][:2] >= 0).all()), key=lambda fitted: fitted[0]
    )
    # Rounded, so that another processor's last digit gives no other file.
    a, b, c, highest = (round(float(value), 9) for value in (*parameters, rows[:, 0].max()))
    return Curve(a=a, b=b, c=c, highest=highest)


def _curve(inputs: np.ndarray, targets: np.ndarray, kept_columns: list[int]) -> tuple[float, np.ndarray]:
    """The loss and the parameters, those that are not kept being 0."""
    parameters = np.zeros(3)
    parameters[kept_columns] = _maximum(inputs[:, kept_columns], targets)
    return _loss(inputs, targets, parameters), parameters


def _maximum(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Newton's method; a step that makes the likelihood worse is halved."""
    parameters = np.zeros(inputs.shape[1])
    loss = _loss(inputs, targets, parameters)
    for _ in range(_STEPS):
        share = _shares(inputs, parameters)
        slope = inputs.T @ (share - targets)
        curvature = (inputs * (share * (1 - share))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(parameters)), slope)
        while (next_loss := _loss(inputs, targets, parameters - step)) > loss and np.abs(
            step
        ).max() > _ENOUGH:
            step = step / 2
        parameters, loss = parameters - step, next_loss
        if np.abs(step).max() < _ENOUGH:
            break
    return parameters


def _loss(inputs: np.ndarray, targets: np.ndarray, parameters: np.ndarray) -> float:
    odds = inputs @ parameters
    return float((np.logaddexp(0, odds) - targets * odds).sum())


def _shares(inputs: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(inputs @ parameters, -500, 500)))
