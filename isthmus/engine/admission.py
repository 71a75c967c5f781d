"""The proof that the cluster itself refuses what a restricted namespace must not hold.

A policy that exists need not be enforced: bindings take a moment, and a wrong selector matches nothing.
So the API server is asked, by dry runs of pods that it must refuse, and our policy must be what refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.errors import AnswerIsNo
from isthmus.engine.kube import Cluster, Refused

POLICY = "isthmus-restricted"
"""How the names of our policies begin."""
PATIENCE_S = 10.0
"""How long after their binding the policies may take; 0.4 s was measured."""
_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Proven:
    """What was refused, and by which policy."""

    context: str
    refusals: dict[str, str]
    """What was tried → the API server's words."""


def trials(registry: str) -> dict[str, dict[str, Any]]:
    """Pods that a restricted namespace must refuse, and that nothing else refuses first."""
    named = f"{registry}isthmus-proof@{_DIGEST}"
    return {
        "a pod with AWS_ACCESS_KEY_ID": _pod(named, [{"name": "AWS_ACCESS_KEY_ID", "value": "none"}]),
        "a pod with an image from a registry that is not named": _pod(f"foreign.invalid/x@{_DIGEST}", []),
    }


def prove(
    cluster: Cluster,
    namespace: str,
    registry: str,
    *,
    patience: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Proven:
    """Dry-run each trial until our policy refuses it; `AnswerIsNo` naming the policy where it does not."""
    deadline = time.monotonic() + patience
    refusals: dict[str, str] = {}
    for what, pod in trials(registry).items():
        while True:
            words, ours = _attempt(cluster, namespace, pod)
            if ours:
                refusals[what] = words
                break
            if time.monotonic() >= deadline:
                raise AnswerIsNo(
                    f"the cluster `{cluster.context}` does not refuse {what} in namespace {namespace}"
                    f" ({words}), so the admission policy {POLICY} is not in force; nothing more was built",
                    todo=f"See `kubectl get validatingadmissionpolicybindings {POLICY}-pods -o yaml` and the"
                    " namespace's label isthmus.dev/class, then run the same command again",
                )
            sleep(0.25)
    return Proven(cluster.context, refusals)


def in_force(cluster: Cluster, namespace: str, registry: str) -> bool:
    """Whether both trials are refused right now."""
    return all(_attempt(cluster, namespace, pod)[1] for pod in trials(registry).values())


def _attempt(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> tuple[str, bool]:
    try:
        cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod, params={"dryRun": "All"})
    except Refused as refused:
        text = refused.message
        return text, refused.status in (403, 422) and "ValidatingAdmissionPolicy" in text and POLICY in text
    return "it was accepted in a dry run", False


def _pod(image: str, variables: list[dict[str, str]]) -> dict[str, Any]:
    amounts = {"cpu": "10m", "memory": "16Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "isthmus-proof"},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "proof",
                    "image": image,
                    "env": variables,
                    "resources": {"requests": amounts, "limits": amounts},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }
