"""What the platform itself states of the operators that it installs: drivers are loaded from pods that may do all."""

from __future__ import annotations

from isthmus.graph.resources.resources import Resource
from policies.inputs.values import at
from policies.rules.rule import Subject


def namespaces(subject: Subject) -> frozenset[str]:
    """Namespaces of operators that the platform manages. They hold no class's data and are privileged by need, as the
    contract states and a reviewer reads; any other namespace is held to the rules."""
    platform = subject.platform
    if platform is None or platform.operators.gpu_operator != "manage":
        return frozenset()
    name = platform.operators.gpu_operator_namespace
    # Never one of ours, in which a class's data is.
    return frozenset() if name.startswith("isthmus-") else frozenset({name})


def stated(subject: Subject, release: Resource) -> bool:
    """Whether a Helm release is that operator's, its chart by digest: what it installs is settled by that.

    A chart in a registry bears its digest. Of a packed one the platform states it, and was not put together with a file
    that has another (`isthmus.blueprints.operator_charts`)."""
    chart = str(release.inputs.get("chart"))
    return at(release.inputs, "namespace") in namespaces(subject) and (
        "@sha256:" in chart or chart in _packed(subject)
    )


def _packed(subject: Subject) -> frozenset[str]:
    given = subject.platform.operators.gpu_operator_release if subject.platform else None
    if given is None or given.chart is None or given.digest is None or given.chart.startswith("oci://"):
        return frozenset()
    return frozenset({given.chart})
