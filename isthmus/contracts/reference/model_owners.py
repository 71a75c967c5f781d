"""The admission policy for owners of models: what they may change in the Deployments that they may patch."""

from __future__ import annotations

import json
from typing import Any

from isthmus.contracts.reference.admission import CLASS_LABEL
from isthmus.contracts.reference.vllm_flags import OWNER_FLAGS

TUNING_POLICY = "isthmus-model-owners"
"""Name of the policy and of its binding."""
FROZEN_POD_FIELDS = (
    *("volumes", "initContainers", "serviceAccountName", "automountServiceAccountToken", "imagePullSecrets"),
    *("securityContext", "hostAliases", "nodeSelector", "tolerations", "priorityClassName"),
)
"""Fields of a pod's spec that must not change."""
FROZEN_CONTAINER_FIELDS = (
    *("image", "command", "env", "envFrom", "volumeMounts", "securityContext", "ports", "lifecycle"),
    *("startupProbe", "readinessProbe", "livenessProbe"),
)


def tuning_policy(owners: list[str]) -> dict[str, Any]:
    """Restrictions that RBAC cannot express: a user who may patch a Deployment could mount any Secret of its
    namespace and run any image.

    A model's owner may change the number of replicas, their resources, and the engine's arguments in `OWNER_FLAGS`.
    """
    message = (
        "a model's owner changes replicas, resources and these arguments of the engine, and nothing else: "
    )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchExpressions": [{"key": CLASS_LABEL, "operator": "Exists"}]},
            "resourceRules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["deployments"],
                }
            ],
        },
        "matchConditions": [
            {
                "name": "by-a-models-owner",
                "expression": f"request.userInfo.groups.exists(g, g in {json.dumps(owners)})",
            }
        ],
        "variables": [
            {"name": "now", "expression": "object.spec.template.spec"},
            {"name": "was", "expression": "oldObject.spec.template.spec"},
        ],
        "validations": [
            {
                "expression": _only_tuned(),
                "message": message + " ".join(OWNER_FLAGS),
                "reason": "Forbidden",
            }
        ],
    }


def _only_tuned() -> str:
    """CEL: an update changes only replicas, resources, and arguments that an owner may tune."""
    frozen = " && ".join(_equal("variables.now", "variables.was", field) for field in FROZEN_POD_FIELDS)
    labels = _equal("object.spec.template.metadata", "oldObject.spec.template.metadata", "labels")
    container_fields = " && ".join(_equal("c", "o", field) for field in FROZEN_CONTAINER_FIELDS)
    containers = (
        "variables.now.containers.size() == variables.was.containers.size() && variables.now.containers.all(c,"
        " variables.was.containers.exists(o, o.name == c.name && "
        f"{container_fields} && (c.name == 'vllm' ? {_equal_other_arguments()} : {_equal('c', 'o', 'args')})))"
    )
    return f"{frozen} && {labels} && {containers}"


def _equal_other_arguments() -> str:
    """CEL: containers `c` and `o` have the same arguments, apart from `OWNER_FLAGS`."""
    owner_flags = json.dumps([f"{flag}=" for flag in OWNER_FLAGS])
    others = "{0}.?args.orValue([]).filter(a, !" + owner_flags + ".exists(t, a.startsWith(t)))"
    return f"{others.format('c')} == {others.format('o')}"


def _equal(left: str, right: str, field: str) -> str:
    """CEL: both objects have the same value of an optional field, or neither has it."""
    return (
        f"({left}.?{field}.hasValue() == {right}.?{field}.hasValue() &&"
        f" (!{left}.?{field}.hasValue() || {left}.{field} == {right}.{field}))"
    )
