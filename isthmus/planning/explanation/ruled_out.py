"""Sums up rejected options: one line for each candidate that no place may serve, and the kinds of reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.reports.explanation import RuledOut
from isthmus.planning.options.option import OnGpus, Option

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("score", ("below the minimum of",)),
    ("blueprint", ("the blueprint does not build",)),
    ("class", ("work may not run on", "by a recorded exception only")),
    ("site", ("`allow` of the site",)),
    ("licence", ("licence", "its weights are not published")),
    ("residency", ("outside its residency",)),
    ("link", ("needs a private link",)),
    ("price", ("cannot be priced", "no price of", "no known price", "does not serve this model")),
    ("context", ("has a context of",)),
    ("precision", ("the GPU does not support",)),
    ("node", ("a node has",)),
    ("memory", ("the weights take", "leave no cache", "of cache, and", "GiB")),
    ("goals", ("even with one request at a time", "misses the goals")),
)
"""Kinds of reasons in the order of the checks, each with the words by which it is known."""


def kind_of(reason: str) -> str:
    """Return the kind of a rejection; `other` for one that is not known."""
    return next((kind for kind, words in _KINDS if any(word in reason for word in words)), "other")


def ruled_out_candidates(
    requirements: Requirements,
    rejected: Mapping[str, Sequence[str]],
    options: Mapping[str, Sequence[Option]],
) -> dict[str, list[RuledOut]]:
    """Return, by workload, the candidates (a model at a precision) that have no option at all.

    `rejected`: each rejected option with its reason. `options`: the options that are left.
    """
    return {
        workload.name: _of_workload(workload, rejected.get(workload.name, ()), options.get(workload.name, ()))
        for workload in requirements.workloads
    }


def _of_workload(workload: Workload, rejected: Sequence[str], options: Sequence[Option]) -> list[RuledOut]:
    possible = {
        (option.column.model, option.column.precision)
        if isinstance(option, OnGpus)
        else (option.model, "api")
        for option in options
    }
    ruled_out = []
    for candidate in workload.model.candidates:
        for precision in candidate.scores:
            if (candidate.id, precision) in possible:
                continue
            label = candidate.id if precision == "api" else f"{candidate.id} at {precision}"
            reasons = [reason for reason in rejected if label in reason]
            if reasons:
                ruled_out.append(
                    RuledOut(candidate=label, places=len(reasons), reason=_furthest(reasons, label))
                )
    return ruled_out


def _furthest(reasons: Sequence[str], label: str) -> str:
    """Return the reason of the place that passed most checks, without the candidate's name in front."""
    kinds = [kind for kind, _ in _KINDS]
    best = max(reasons, key=lambda reason: kinds.index(kind) if (kind := kind_of(reason)) in kinds else -1)
    return best.removeprefix(label).removeprefix(":").strip().removeprefix("at api ")


def describe_kinds(reasons: Sequence[str]) -> str:
    """Return how often each kind of reason ruled a place out: `8 by memory, 3 by goals`."""
    counts = Counter(kind_of(reason) for reason in reasons)
    order = {kind: index for index, (kind, _) in enumerate(_KINDS)}
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], order.get(entry[0], len(order))))
    return ", ".join(f"{count} by {kind}" for kind, count in ordered)
