"""Proves that a cluster enforces the admission policies of restricted namespaces.

An existing policy may not be enforced: bindings take a moment, and a wrong selector matches nothing. So objects that
must be refused are sent to the API server as dry runs, and the refusal must come from a policy of Isthmus.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import Refused
from isthmus.core.kubernetes_client import MERGE_PATCH, ApiRefusal, KubeClient

POLICY_PREFIX = "isthmus-restricted"
"""Prefix of the names of Isthmus's policies."""
PATIENCE_S = 10.0
"""Seconds that a policy may take to be enforced after its binding; 0.4 s was measured."""
_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Proven:
    """Result of a proof: the refusals of one cluster."""

    context: str
    refusals: dict[str, str]
    """Trial → the API server's message."""


@dataclass(frozen=True)
class Trial:
    """A request that only Isthmus's policies refuse in a restricted namespace."""

    what: str
    path: str
    body: dict[str, Any]
    method: str = "POST"
    media: str = "application/json"


def build_trials(namespace: str, registry: str) -> list[Trial]:
    """Trials for each policy, since each is enforced on its own; two for pods."""
    allowed_image = f"{registry}isthmus-proof@{_DIGEST}"
    with_key = _pod(allowed_image, [{"name": "AWS_ACCESS_KEY_ID", "value": "none"}])
    foreign = _pod(f"foreign.invalid/x@{_DIGEST}", [])
    template = {"metadata": {"labels": {"app": "isthmus-proof"}}, "spec": with_key["spec"]}
    labels = {"app": "isthmus-proof"}
    job = {"template": {**template, "spec": {**with_key["spec"], "restartPolicy": "Never"}}}
    harmless = {"metadata": {"labels": labels}, "spec": _pod(allowed_image, [])["spec"]}
    group = "leaderworkerset.x-k8s.io/v1"

    def workload_trial(version: str, kind: str, plural: str, suffix: str = "", **body: Any) -> Trial:
        root = "api" if version == "v1" else "apis"
        return Trial(
            f"a {kind} with AWS_ACCESS_KEY_ID{suffix}",
            f"/{root}/{version}/namespaces/{namespace}/{plural}",
            {"apiVersion": version, "kind": kind, "metadata": {"name": "isthmus-proof"}, **body},
        )

    def leader_worker_set(part: str, template: dict[str, Any], harmless_template: dict[str, Any]) -> Trial:
        templates = {"workerTemplate": harmless_template, "leaderTemplate": harmless_template, part: template}
        body = {"spec": {"leaderWorkerTemplate": {"size": 2, **templates}}}
        return workload_trial(group, "LeaderWorkerSet", "leaderworkersets", f" in its {part}", **body)

    pods = f"/api/v1/namespaces/{namespace}/pods"
    return [
        Trial("a pod with AWS_ACCESS_KEY_ID", pods, with_key),
        Trial("a pod with an image from a registry that is not allowed", pods, foreign),
        workload_trial(
            *("apps/v1", "Deployment", "deployments"),
            spec={"selector": {"matchLabels": labels}, "template": template},
        ),
        workload_trial(
            *("v1", "ReplicationController", "replicationcontrollers"),
            spec={"selector": labels, "template": template},
        ),
        workload_trial("v1", "PodTemplate", "podtemplates", template=template),
        workload_trial(
            "batch/v1", "CronJob", "cronjobs", spec={"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}
        ),
        leader_worker_set("workerTemplate", template, harmless),
        leader_worker_set("leaderTemplate", template, harmless),
        Trial(
            "a namespace that loses its class",
            f"/api/v1/namespaces/{namespace}",
            {"metadata": {"labels": {"isthmus.dev/class": "public"}}},
            "PATCH",
            MERGE_PATCH,
        ),
    ]


def prove(
    cluster: KubeClient,
    namespace: str,
    registry: str,
    *,
    patience: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Proven:
    """Dry-run each trial until Isthmus's policy refuses it. Raises `Refused` if it still does not after `patience`.

    Kinds that the cluster does not serve are skipped, because no object of them can be created.
    """
    deadline = time.monotonic() + patience
    refusals: dict[str, str] = {}
    for trial in build_trials(namespace, registry):
        while True:
            answer, is_refused_by_policy = _attempt(cluster, trial)
            if is_refused_by_policy:
                refusals[trial.what] = answer
            if is_refused_by_policy is not False:
                break
            if time.monotonic() >= deadline:
                raise Refused(
                    f"the cluster `{cluster.context}` does not refuse {trial.what} in namespace {namespace}"
                    f" ({answer}): an admission policy {POLICY_PREFIX}-… is not enforced; nothing more was built",
                    fix=f"Check `kubectl get validatingadmissionpolicybindings -o yaml` ({POLICY_PREFIX}-…) and the"
                    " namespace's label isthmus.dev/class, then run the same command again",
                )
            sleep(0.25)
    return Proven(cluster.context, refusals)


def is_enforced(cluster: KubeClient, namespace: str, registry: str) -> bool:
    """Whether the cluster refuses all trials now."""
    return all(_attempt(cluster, trial)[1] is not False for trial in build_trials(namespace, registry))


def _attempt(cluster: KubeClient, trial: Trial) -> tuple[str, bool | None]:
    """The API server's message, and whether Isthmus's policy refused; None if the kind is not served."""
    try:
        cluster.call(
            trial.method, trial.path, body=trial.body, params={"dryRun": "All"}, content_type=trial.media
        )
    except ApiRefusal as refused:
        text = refused.message
        if refused.status == 404 and "leaderworkersets" in trial.path:
            return text, None
        return text, refused.status in (
            403,
            422,
        ) and "ValidatingAdmissionPolicy" in text and POLICY_PREFIX in text
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
