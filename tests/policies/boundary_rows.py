"""Resources that somebody's program adds beside the bank's stack, and the findings about them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import Kind, Trust
from isthmus.engine.render.recorder import Resource
from policies.evaluation.evaluation import blocking_findings, judge, subject_of
from policies.evaluation.wanted_entries import propose
from tests.blueprints.bank import platform, rendered
from tests.policies.making import resource_of

TODAY = date(2026, 11, 29)
RESTRICTED = "isthmus-restricted"
DIGEST = "registry.bank.example/tool@sha256:" + "a" * 64


def kube(kind: str, name: str = "added", namespace: str | None = RESTRICTED, **body: Any) -> Resource:
    """An object; `kind` is a type without `kubernetes:`."""
    version, _, api_kind = kind.rpartition(":")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **body.pop("metadata", {})}
    about = {"apiVersion": version.removeprefix("core/"), "kind": api_kind.removesuffix("Patch")}
    return resource_of(f"kubernetes:{kind}", name, {**about, "metadata": metadata, **body})


def release(name: str, **inputs: Any) -> Resource:
    """A Helm release."""
    return resource_of("kubernetes:helm.sh/v3:Release", name, inputs)


def component(kind: str, name: str = "added", *, remote: bool = True, **inputs: Any) -> Resource:
    """A component, whose resources a plugin makes (`remote`)."""
    added = resource_of(kind, name, inputs, **({"remote": True} if remote else {}))
    return replace(added, custom=False)


def other(kind: str, name: str = "added", **inputs: Any) -> Resource:
    """A resource of AWS or another provider."""
    return resource_of(kind, name, inputs)


def trusting(*types: str, charts: Sequence[str] = (), objects: Sequence[str] = ()) -> Settings:
    """Settings with these trusted types, charts and objects."""
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    stated = {
        "resource_types": [{"value": value, **about} for value in types],
        "charts": [{"value": value, **about} for value in charts],
        "objects": [{"value": value, **about} for value in objects],
    }
    return Settings(trust=Trust.model_validate(stated))


def proposed(*added: Resource, settings: Settings | None = None) -> set[tuple[Kind, str]]:
    """The entries that `isthmus trust propose` prints for the bank's stack with these resources."""
    resources = [*rendered().resources, *added]
    return {*propose(subject_of(resources, platform(), settings or Settings(), TODAY)).entries}


def stops(*added: Resource, settings: Settings | None = None) -> list[Finding]:
    """The findings that stop the change, of the bank's stack with these resources."""
    findings = judge([*rendered().resources, *added], platform(), settings, today=TODAY)
    return blocking_findings(findings)


@functools.cache
def deployment_spec() -> dict[str, Any]:
    """The spec of a hardened Deployment, without a token, labels of Isthmus or volumes."""
    container = {
        "name": "main",
        "image": DIGEST,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
    }
    pod = {
        "serviceAccountName": "team",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    template = {"metadata": {"labels": {"app": "team"}}, "spec": pod}
    return {"replicas": 1, "selector": {"matchLabels": {"app": "team"}}, "template": template}
