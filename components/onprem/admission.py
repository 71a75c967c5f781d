"""What the cluster itself refuses in a restricted namespace, whoever asks.

The same rule as in the contract, the policy pack and the gateway, enforced once more by the API server:
a manifest applied by hand passes none of the others. Validation is CEL in ValidatingAdmissionPolicies
(`admissionregistration.k8s.io/v1`); one policy for each shape of object that holds a pod, so that the
API server can check the types of its expressions.
"""

import json
from typing import Any, TypedDict

import pulumi

from components.kube import CLASS_LABEL, enforced, labels
from isthmus.contracts.errors import InputError

_NAME = "isthmus-restricted"
_BOTH = ["CREATE", "UPDATE"]

Rule = tuple[str, str, list[str]]
"""API group, version, resources."""

SHAPES: dict[str, tuple[list[Rule], str, str]] = {
    "pods": ([("", "v1", ["pods", "pods/ephemeralcontainers"])], "object.spec", "true"),
    "templates": (
        [
            ("apps", "v1", ["deployments", "replicasets", "statefulsets", "daemonsets"]),
            ("batch", "v1", ["jobs"]),
        ],
        "object.spec.template.spec",
        "true",
    ),
    # Here the API lets the template be absent.
    "replicationcontrollers": (
        [("", "v1", ["replicationcontrollers"])],
        "object.spec.template.spec",
        "has(object.spec.template)",
    ),
    "podtemplates": ([("", "v1", ["podtemplates"])], "object.template.spec", "true"),
    "cronjobs": ([("batch", "v1", ["cronjobs"])], "object.spec.jobTemplate.spec.template.spec", "true"),
    "leaderworkersets": (
        [("leaderworkerset.x-k8s.io", "v1", ["leaderworkersets"])],
        "object.spec.leaderWorkerTemplate.workerTemplate.spec",
        "true",
    ),
    "leaders": (
        [("leaderworkerset.x-k8s.io", "v1", ["leaderworkersets"])],
        "object.spec.leaderWorkerTemplate.leaderTemplate.spec",
        "has(object.spec.leaderWorkerTemplate.leaderTemplate)",
    ),
}
"""Shape: the rules that match it, its pod spec in CEL, and when it holds one at all."""


class AdmissionGuardArgs(TypedDict):
    """What may run in a cluster's restricted namespaces."""

    registries: list[str]
    """Image prefixes that are let in, each ending in `/`."""


class AdmissionGuard(pulumi.ComponentResource):
    """Policies by which the API server refuses AWS credentials and foreign images in restricted namespaces.

    Enforcement begins a moment after the bindings are made (0.4 s measured) and is not retroactive.
    """

    policies: pulumi.Output[list[str]]
    """Names of the ValidatingAdmissionPolicies; each binding bears its policy's name."""

    def __init__(
        self, name: str, args: AdmissionGuardArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:AdmissionGuard", name, dict(args), opts)
        registries = args["registries"]
        if not registries or not all(prefix.endswith("/") and len(prefix) > 1 for prefix in registries):
            raise InputError(
                f"image registries {registries} would let in others' images",
                where=f"{name}.registries",
                todo="Name at least one prefix, each ending in '/': without it registry.bank also matches"
                " registry.bank.example",
            )
        names = [self._policy(name, shape, spec) for shape, spec in admission_policies(registries).items()]
        self.policies = pulumi.Output.from_input(names)
        self.register_outputs({"policies": self.policies})

    def _policy(self, name: str, shape: str, spec: Any) -> str:
        called = f"{_NAME}-{shape}"
        enforced(f"{name}-{shape}", called, labels(_NAME), spec, self)
        return called


def admission_policies(registries: list[str]) -> dict[str, dict[str, Any]]:
    """The spec of each ValidatingAdmissionPolicy, by the shape of object that it looks at."""
    made = {
        shape: _pod_policy(rules, spec, when, registries) for shape, (rules, spec, when) in SHAPES.items()
    }
    return {**made, "namespaces": _namespace_policy()}


def _rules(rules: list[Rule], operations: list[str]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [group], "apiVersions": [version], "resources": resources, "operations": operations}
        for group, version, resources in rules
    ]


def _pod_policy(rules: list[Rule], spec: str, when: str, registries: list[str]) -> dict[str, Any]:
    """Variables are worked out when first used; each is a list of strings that name offenders."""
    kinds = ["containers", "initContainers"]
    if spec == "object.spec":
        kinds.append("ephemeralContainers")

    def over_containers(each: str) -> str:
        return " + ".join(f"variables.spec.?{kind}.orValue([]){each}" for kind in kinds)

    aws = over_containers(
        ".filter(c, c.?env.orValue([]).exists(e, e.name.startsWith('AWS_')))"
        ".map(c, c.name + ' sets ' + c.env.filter(e, e.name.startsWith('AWS_')).map(e, e.name).join(' '))"
    )
    from_others = over_containers(".filter(c, c.?envFrom.orValue([]).size() > 0).map(c, c.name)")
    foreign = over_containers(
        ".filter(c, !variables.registries.exists(r, c.?image.orValue('').startsWith(r)))"
        ".map(c, c.name + ' runs ' + c.?image.orValue('no image'))"
    )
    foreign_volumes = (
        "variables.spec.?volumes.orValue([]).filter(v, has(v.image) &&"
        " !variables.registries.exists(r, v.image.?reference.orValue('').startsWith(r)))"
        ".map(v, v.name + ' mounts ' + v.image.?reference.orValue('no image'))"
    )
    tokens = (
        "variables.spec.?volumes.orValue([]).filter(v, has(v.projected) &&"
        " v.projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken) &&"
        " s.serviceAccountToken.?audience.orValue('').contains('amazonaws.com'))).map(v, v.name)"
    )
    allowed = ", ".join(registries)
    refusals = [
        ("aws", "a restricted namespace has no AWS credentials, and these variables carry or find them"),
        ("envFrom", "a restricted namespace allows no envFrom, which can bring AWS credentials in unseen"),
        ("tokens", "a restricted namespace mounts no service-account token for AWS"),
        ("foreign", f"a restricted namespace runs images of {allowed} only"),
        ("foreignVolumes", f"a restricted namespace mounts images of {allowed} only"),
    ]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {CLASS_LABEL: "restricted"}},
            "resourceRules": _rules(rules, _BOTH),
        },
        **({"matchConditions": [{"name": "holds-a-pod", "expression": when}]} if when != "true" else {}),
        "variables": [
            {"name": "spec", "expression": spec},
            {"name": "registries", "expression": json.dumps(sorted(registries))},
            {"name": "aws", "expression": aws},
            {"name": "envFrom", "expression": from_others},
            {"name": "tokens", "expression": tokens},
            {"name": "foreign", "expression": foreign},
            {"name": "foreignVolumes", "expression": foreign_volumes},
        ],
        "validations": [
            {
                "expression": f"variables.{variable}.size() == 0",
                "message": about,
                "messageExpression": f"{json.dumps(about + ': ')} + variables.{variable}.join(', ')",
                "reason": "Forbidden",
            }
            for variable, about in refusals
        ],
    }


def _namespace_policy() -> dict[str, Any]:
    """A namespace's class, once given, stays: taking it away would lift every rule bound to it."""
    held = f"oldObject.metadata.labels['{CLASS_LABEL}']"
    now = f"object.metadata.?labels[?'{CLASS_LABEL}'].orValue('none')"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": _rules([("", "v1", ["namespaces"])], ["UPDATE"]),
        },
        "matchConditions": [
            {
                "name": "has-a-class",
                "expression": "has(oldObject.metadata.labels) &&"
                f" '{CLASS_LABEL}' in oldObject.metadata.labels",
            }
        ],
        "validations": [
            {
                "expression": f"{now} == {held}",
                "message": f"the label {CLASS_LABEL} of a namespace cannot be changed or taken away",
                "messageExpression": f"'the label {CLASS_LABEL} of a namespace cannot be changed or taken"
                f" away: it is ' + {held} + ' and would be ' + {now}",
                "reason": "Forbidden",
            }
        ],
    }
