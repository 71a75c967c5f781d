"""Which namespaces outside the classes have power over them: what own code puts there is judged like a class's own."""

from __future__ import annotations

from policies.data_path import known_types
from policies.inputs.neighbours import neighbour_namespaces, neighbour_reason
from policies.rules.rule import Subject

_CONTROLLERS = "controllers there have power over every class's namespace"
_LOGS = "what collects logs reads its settings there, and every class's pods write logs"
_STATED = "the organisation trusts it with monitoring or a control plane that reaches the classes"


def control_reason(subject: Subject, namespace: str) -> str:
    """What a namespace that is no class's own has to do with the classes; empty if nothing.

    Controllers run there, the platform names it (monitoring, reviewers, a router's control plane), an entry
    `namespaces` of the trust file does, or what collects logs usually runs there.
    """
    if namespace in known_types.CONTROL_NAMESPACES:
        return _CONTROLLERS
    if namespace in known_types.LOG_NAMESPACES:
        return _LOGS
    if namespace.startswith(known_types.CONTROL_NAMESPACE_BEGINNINGS):
        return _CONTROLLERS
    if reason := neighbour_reason(subject, namespace, neighbour_namespaces(subject)):
        return reason
    return _STATED if subject.trusts_exactly("namespaces", namespace) else ""
