"""The labels of LeaderWorkerSet's pods, and the admission policies that set them.

The real webhook labels a new pod with its group and its index in the group. Here MutatingAdmissionPolicies derive
both from the index label that the StatefulSet controller sets.
"""

from __future__ import annotations

from typing import Any

_PREFIX = "leaderworkerset.sigs.k8s.io"
NAME, GROUP, MEMBER = f"{_PREFIX}/name", f"{_PREFIX}/group-index", f"{_PREFIX}/worker-index"
KEY, REVISION, SIZE = f"{_PREFIX}/group-key", f"{_PREFIX}/template-revision-hash", f"{_PREFIX}/size"
_POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_SANDBOX_LABELS = {"isthmus.dev/sandbox": "operators"}

_LABELS = "object.metadata.?labels.orValue({})"
_IS_LEADER = f"'{NAME}' in {_LABELS} && {_LABELS}[?'{MEMBER}'].orValue('') == '0'"
_IS_WORKER = f"'{NAME}' in {_LABELS} && !('{MEMBER}' in {_LABELS})"
_POD_INDEX = f"object.metadata.labels['{_POD_INDEX_LABEL}']"


def build_policies() -> list[tuple[str, dict[str, Any]]]:
    """Return (collection, manifest) of each policy and its binding."""
    objects: list[tuple[str, dict[str, Any]]] = []
    for role, condition, labels in (
        ("leaders", _IS_LEADER, f"'{GROUP}': {_POD_INDEX}, '{KEY}': object.metadata.name"),
        ("workers", _IS_WORKER, f"'{MEMBER}': {_POD_INDEX}"),
    ):
        name = f"sandbox-lws-{role}"
        meta = {"name": name, "labels": _SANDBOX_LABELS}
        pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        policy = {
            "matchConstraints": {"resourceRules": [pods]},
            "matchConditions": [{"name": role, "expression": condition}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": f"Object{{metadata: Object.metadata{{labels: {{{labels}}}}}}}"
                    },
                }
            ],
        }
        for kind, spec in (
            ("MutatingAdmissionPolicy", policy),
            ("MutatingAdmissionPolicyBinding", {"policyName": name}),
        ):
            plural = kind.lower().removesuffix("y") + "ies" if kind.endswith("Policy") else f"{kind.lower()}s"
            objects.append(
                (
                    f"{ADMISSION}/{plural}",
                    {
                        "apiVersion": "admissionregistration.k8s.io/v1",
                        "kind": kind,
                        "metadata": meta,
                        "spec": spec,
                    },
                )
            )
    return objects
