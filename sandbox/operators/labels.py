"""The labels of LeaderWorkerSet's pods, and the policies by which the API server sets those of its webhook.

The real webhook tells a pod its group and its place in it as it is made. Here MutatingAdmissionPolicies do,
from the index that StatefulSet's controller has labelled it with.
"""

from __future__ import annotations

from typing import Any

_PREFIX = "leaderworkerset.sigs.k8s.io"
NAME, GROUP, MEMBER = f"{_PREFIX}/name", f"{_PREFIX}/group-index", f"{_PREFIX}/worker-index"
KEY, REVISION, SIZE = f"{_PREFIX}/group-key", f"{_PREFIX}/template-revision-hash", f"{_PREFIX}/size"
_INDEX = "apps.kubernetes.io/pod-index"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_OURS = {"isthmus.dev/sandbox": "operators"}

_LABELS = "object.metadata.?labels.orValue({})"
_LEADS = f"'{NAME}' in {_LABELS} && {_LABELS}[?'{MEMBER}'].orValue('') == '0'"
_FOLLOWS = f"'{NAME}' in {_LABELS} && !('{MEMBER}' in {_LABELS})"
_OWN_INDEX = f"object.metadata.labels['{_INDEX}']"


def policies() -> list[tuple[str, dict[str, Any]]]:
    """Collection and manifest of each policy and its binding."""
    made: list[tuple[str, dict[str, Any]]] = []
    for who, when, labels in (
        ("leaders", _LEADS, f"'{GROUP}': {_OWN_INDEX}, '{KEY}': object.metadata.name"),
        ("workers", _FOLLOWS, f"'{MEMBER}': {_OWN_INDEX}"),
    ):
        name = f"sandbox-lws-{who}"
        meta = {"name": name, "labels": _OURS}
        pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        policy = {
            "matchConstraints": {"resourceRules": [pods]},
            "matchConditions": [{"name": who, "expression": when}],
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
            made.append(
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
    return made
