"""Judges a changed platform by the declarations of the base commit: sensitivities, residencies and exceptions.

A change is judged by the declarations before and after it. So it cannot lower a class, widen a residency or grant
itself an exception and use it in the same change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.vocabulary import SENSITIVITIES, Sensitivity


@dataclass(frozen=True)
class Word:
    """The declarations by which a change is judged."""

    platform: Platform
    """The changed platform, with the residencies and exceptions of the base."""
    held: Mapping[str, Sensitivity]
    """Workloads whose class in the base was stricter than the class that serves them now."""


def with_declared_before(before: Platform, after: Platform) -> Word:
    """The declarations of the base, applied to the changed platform. Sites and what runs there come from the change.

    A workload that is not in the base is judged by its declaration in the change.
    """
    declared: dict[str, tuple[Sensitivity, list[str]]] = {
        workload.name: (gateway.class_, workload.residency)
        for gateway in before.gateways
        for workload in gateway.workloads
    }
    stricter_classes: dict[str, Sensitivity] = {}
    gateways = []
    for gate in after.gateways:
        workloads = []
        for workload in gate.workloads:
            class_, residency = declared.get(workload.name, (gate.class_, workload.residency))
            if SENSITIVITIES.index(class_) > SENSITIVITIES.index(gate.class_):
                stricter_classes[workload.name] = class_
            workloads.append(workload.model_copy(update={"residency": residency}))
        gateways.append(gate.model_copy(update={"workloads": workloads}))
    # The mixture is not validated, because it is no platform that anyone builds.
    return Word(
        after.model_copy(update={"gateways": gateways, "exceptions": before.exceptions}), stricter_classes
    )
