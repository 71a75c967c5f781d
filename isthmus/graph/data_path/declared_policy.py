"""A changed platform by the word of the commit before it: whose data is how sensitive, and where it must stay.

What a change says of its own workloads is judged beside what was said before it, so that it cannot lower a class,
widen a residency or grant itself an exception, and use it at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.vocabulary import SENSITIVITIES, Sensitivity


@dataclass(frozen=True)
class Word:
    """What to judge a change by."""

    platform: Platform
    """The changed one, with the residencies and exceptions of the one before."""
    held: Mapping[str, Sensitivity]
    """Workloads that were of a stricter class than the one that now serves them."""


def with_declared_before(before: Platform, after: Platform) -> Word:
    """By what was said before; where sites lie and what runs there is the changed platform's to say.

    A workload that was not there before is judged by what the change says of it.
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
    # No validator sees the mixture: it is nobody's platform.
    return Word(
        after.model_copy(update={"gateways": gateways, "exceptions": before.exceptions}), stricter_classes
    )
