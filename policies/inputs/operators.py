"""Exceptions for operators that the platform installs: their pods load drivers, so they must be privileged."""

from __future__ import annotations

from isthmus.graph.resources.resources import Resource
from policies.inputs.values import at
from policies.rules.rule import Subject


def operator_namespaces(subject: Subject) -> frozenset[str]:
    """Namespaces of operators that the platform manages.

    They hold no class's data and must be privileged, which the platform states and reviewers see. The rules apply to
    every other namespace.
    """
    platform = subject.platform
    if platform is None or platform.operators.gpu_operator != "manage":
        return frozenset()
    name = platform.operators.gpu_operator_namespace
    # Never a namespace of Isthmus itself, which holds a class's data.
    return frozenset() if name.startswith("isthmus-") else frozenset({name})


def is_stated_operator_release(subject: Subject, release: Resource) -> bool:
    """Whether a Helm release is that operator's, with its chart fixed by digest.

    The reference of a chart in a registry has a digest. For a packed chart the platform states the digest, and
    `isthmus.blueprints.operator_charts` has compared the file with it.
    """
    chart = str(release.inputs.get("chart"))
    return at(release.inputs, "namespace") in operator_namespaces(subject) and (
        "@sha256:" in chart or chart in _packed_charts(subject)
    )


def _packed_charts(subject: Subject) -> frozenset[str]:
    release = subject.platform.operators.gpu_operator_release if subject.platform else None
    if (
        release is None
        or release.chart is None
        or release.digest is None
        or release.chart.startswith("oci://")
    ):
        return frozenset()
    return frozenset({release.chart})
