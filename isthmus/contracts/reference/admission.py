"""The specs of the ValidatingAdmissionPolicies that every cluster of a platform has.

The contract, the policy pack and the gateway enforce the same rules. The API server enforces them once more,
because manifests that someone applies by hand bypass the others. The rules are CEL in ValidatingAdmissionPolicies
(`admissionregistration.k8s.io/v1`). There is one policy for each kind of object with a pod spec, so that the API
server can check the types of its expressions. Components create them, and the policy pack demands them unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES

CLASS_LABEL = "isthmus.dev/class"
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
"""Label of a proxy's pods with the name of its Gateway. Every implementation of the Gateway API sets it (GEP-1762)."""
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""The API server sets this label on every namespace, so nobody can claim the name of another namespace."""
RESTRICTED_PREFIX = "isthmus-restricted"
CLASS_PREFIX = "isthmus-class"
"""Name prefix of policies for the platform's own namespaces, of every class."""
_POD_SECURITY = "pod-security.kubernetes.io"
ASSIGN = ("isthmus.dev", "classes", "assign")
"""API group, resource and verb of the permission to give a namespace a class. The resource does not exist: only
RBAC decides. Cluster administrators have the permission, and others get it by a ClusterRole."""
_CREATE_AND_UPDATE = ["CREATE", "UPDATE"]

LOAD_BALANCER_PREFIX = "service.beta.kubernetes.io/"
"""Prefix of annotations that tell clouds how to make a load balancer: where its addresses are, and who decrypts."""

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
    # In these kinds of objects the template is optional.
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
"""By kind of object: the rules that match it, its pod spec in CEL, and the condition under which it has one."""


@dataclass(frozen=True)
class OutsideService:
    """A Service that opens a class's gateway to callers outside the cluster."""

    namespace: str
    name: str
    source_ranges: tuple[str, ...]
    """Ranges of the callers. The Service may name fewer."""
    selector: dict[str, str]
    """Labels of the gateway's pods."""
    annotations: dict[str, str]
    """All its annotations for load balancers of clouds (`LOAD_BALANCER_PREFIX`)."""


def required_policies(
    registries: Sequence[str],
    emergency_users: Sequence[str],
    routed_classes: Sequence[str],
    outside: Sequence[OutsideService] = (),
) -> dict[str, dict[str, Any]]:
    """The spec of every policy by its name in the cluster. Each has a binding of the same name that denies."""
    return {
        **{
            f"{RESTRICTED_PREFIX}-{shape}": spec
            for shape, spec in admission_policies(list(registries)).items()
        },
        **{
            f"{CLASS_PREFIX}-{topic}": spec
            for topic, spec in class_policies(list(emergency_users), list(routed_classes), outside).items()
        },
    }


def class_namespace(sensitivity: str) -> str:
    """The namespace that holds a class's gateway, translator and model servers."""
    return f"isthmus-{sensitivity}"


def sealer_namespace(sensitivity: str) -> str:
    """The namespace of a class's sealer. Permissions in the class's own namespace give none over it."""
    return f"{class_namespace(sensitivity)}-sealer"


def reviews_namespace(sensitivity: str) -> str:
    """The namespace of a class's review service. Permissions over the class's gateway give none over it."""
    return f"{class_namespace(sensitivity)}-reviews"


def replicas_name(endpoint: str) -> str:
    """Name of the headless Service that lists an endpoint's replicas."""
    return f"{endpoint}-replicas"


def chat_namespace(sensitivity: str) -> str:
    """The namespace of a class's chat."""
    return f"{class_namespace(sensitivity)}-chat"


def sign_on_namespace(sensitivity: str) -> str:
    """The namespace of the proxy at which people sign on to a class's chat."""
    return f"{class_namespace(sensitivity)}-sign-on"


def reviews_sign_on_namespace(sensitivity: str) -> str:
    """The namespace of the proxy at which reviewers sign on to a class's review desk."""
    return f"{reviews_namespace(sensitivity)}-sign-on"


def notifier_namespace(sensitivity: str) -> str:
    """The namespace of what tells people that a class's held answers wait."""
    return f"{class_namespace(sensitivity)}-notifier"


def loader_namespace(sensitivity: str) -> str:
    """The namespace of what loads a class's usage ledger."""
    return f"{class_namespace(sensitivity)}-loader"


def evaluator_namespace(sensitivity: str) -> str:
    """The namespace of a class's evaluation jobs. They read its test cases, and sign results."""
    return f"{class_namespace(sensitivity)}-evaluator"


def chat_client_name(sensitivity: str) -> str:
    """Name in the certificate with which a chat calls its gateway."""
    return f"{sensitivity}-chat.{chat_namespace(sensitivity)}.svc"


def admission_policies(registries: list[str]) -> dict[str, dict[str, Any]]:
    """The spec of each ValidatingAdmissionPolicy for restricted namespaces, by the kind of object that it checks."""
    specs = {
        shape: _pod_policy(rules, spec, condition, registries)
        for shape, (rules, spec, condition) in SHAPES.items()
    }
    return {**specs, "namespaces": _namespace_policy()}


NAMESPACE_WRITES = ["namespaces", "namespaces/status", "namespaces/finalize"]
"""Writes that can change a namespace's labels."""
SHELLS = ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"]
"""Connections into a running pod."""


def platform_namespaces_of(classes: Iterable[str]) -> list[str]:
    """The platform's namespaces of these classes."""
    return sorted(class_by_namespace(classes))


def class_by_namespace(classes: Iterable[str] = SENSITIVITIES) -> dict[str, str]:
    """The class of each namespace that the platform may have for these classes."""
    return {
        namespace_of(sensitivity): sensitivity
        for sensitivity in classes
        for namespace_of in (
            class_namespace,
            sealer_namespace,
            reviews_namespace,
            chat_namespace,
            sign_on_namespace,
            reviews_sign_on_namespace,
            notifier_namespace,
            loader_namespace,
            evaluator_namespace,
        )
    }


def class_policies(
    emergency_users: list[str], routed_classes: list[str], outside: Sequence[OutsideService] = ()
) -> dict[str, dict[str, Any]]:
    """The spec of each policy for the platform's own namespaces, by its topic. `outside`: what may be opened."""
    rules_by_shape = {shape: SHAPES[shape][:2] for shape in ("pods", "templates")}
    return {
        **{
            f"digests-{shape}": _digest_policy(rules, spec, routed_classes)
            for shape, (rules, spec) in rules_by_shape.items()
        },
        "shells": _shell_policy(emergency_users, ["CONNECT"], SHELLS),
        "debugging": _shell_policy(emergency_users, ["UPDATE"], ["pods/ephemeralcontainers"]),
        "labels": _label_policy(),
        "services": _service_policy(outside),
    }


def _select_namespaces(names: list[str]) -> dict[str, Any]:
    """A selector of namespaces by name, using the label that the API server itself sets."""
    return {"matchExpressions": [{"key": NAMESPACE_LABEL, "operator": "In", "values": names}]}


def _digest_policy(rules: list[Rule], spec: str, routed_classes: list[str]) -> dict[str, Any]:
    """Requires images by digest: a tag can be moved to another image after its review."""
    kinds = ["containers", "initContainers", *(["ephemeralContainers"] if spec == "object.spec" else [])]
    tagged = " + ".join(
        f"{spec}.?{kind}.orValue([]).filter(c, !c.?image.orValue('').matches('@sha256:[0-9a-f]{{64}}$'))"
        ".map(c, c.name + ' runs ' + c.?image.orValue('no image'))"
        for kind in kinds
    )
    mounted = (
        f"{spec}.?volumes.orValue([]).filter(v, has(v.image) &&"
        " !v.image.?reference.orValue('').matches('@sha256:[0-9a-f]{64}$'))"
        ".map(v, v.name + ' mounts ' + v.image.?reference.orValue('no image'))"
    )
    message = "images are named by digest in this namespace (NAME@sha256:…)"
    labels_of = "object" if spec == "object.spec" else "object.spec.template"
    routed_namespaces = [class_namespace(sensitivity) for sensitivity in sorted(routed_classes)]
    proxies = (
        f"!(request.namespace in {json.dumps(routed_namespaces)} &&"
        f" '{GATEWAY_LABEL}' in {labels_of}.metadata.?labels.orValue({{}}))"
    )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": _select_namespaces(platform_namespaces_of(SENSITIVITIES)),
            "resourceRules": _rules(rules, _CREATE_AND_UPDATE),
        },
        # A router's implementation sets its proxies' image, by tag unless it is configured otherwise.
        **(
            {"matchConditions": [{"name": "no-proxy-of-a-router", "expression": proxies}]}
            if routed_classes
            else {}
        ),
        "variables": [{"name": "tagged", "expression": f"{tagged} + {mounted}"}],
        "validations": [
            {
                "expression": "variables.tagged.size() == 0",
                "message": message,
                "messageExpression": f"{json.dumps(message + ': ', ensure_ascii=False)} + variables.tagged.join(', ')",
                "reason": "Forbidden",
            }
        ],
    }


def _shell_policy(users: list[str], operations: list[str], resources: list[str]) -> dict[str, Any]:
    """Denies shells and port forwards into running pods, except by emergency access, whatever RBAC allows."""
    namespaces = platform_namespaces_of(("confidential", "restricted"))
    message = (
        "nobody opens a shell, a port or a debug container in restricted and confidential pods, except by an"
        " emergency access of this platform (docs/people.md)"
    )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": _select_namespaces(namespaces),
            "resourceRules": _rules([("", "v1", resources)], operations),
        },
        "validations": [
            {
                "expression": f"request.userInfo.username in {json.dumps(sorted(users))}",
                "message": message,
                "reason": "Forbidden",
            }
        ],
    }


def _service_policy(outside: Sequence[OutsideService]) -> dict[str, Any]:
    """Keeps Services inside the cluster, except those that open a gateway as the platform states it."""
    stated = " || ".join(
        f"({_is_service(service)})" for service in sorted(outside, key=lambda service: service.name)
    )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": _select_namespaces(platform_namespaces_of(SENSITIVITIES)),
            "resourceRules": _rules([("", "v1", ["services"])], _CREATE_AND_UPDATE),
        },
        # Whoever runs the load balancer removes its finalizer after the platform no longer states the Service.
        "matchConditions": [
            {
                "name": "opens-something",
                "expression": "oldObject == null || object.spec != oldObject.spec ||"
                " object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({})",
            }
        ],
        "variables": [
            {"name": "name", "expression": "object.metadata.?name.orValue('')"},
            {"name": "type", "expression": "object.spec.?type.orValue('ClusterIP')"},
            {"name": "ranges", "expression": "object.spec.?loadBalancerSourceRanges.orValue([])"},
            {
                "name": "opened",
                "expression": "variables.type == 'LoadBalancer' && variables.ranges.size() > 0 &&"
                " object.spec.?externalTrafficPolicy.orValue('') == 'Local' &&"
                " object.spec.?allocateLoadBalancerNodePorts.orValue(true) == false &&"
                f" ({stated or 'false'})",
            },
        ],
        "validations": [
            {
                "expression": "object.spec.?externalIPs.orValue([]).size() == 0",
                "message": "a Service of this namespace has no external addresses",
                "reason": "Forbidden",
            },
            {
                "expression": "variables.type in ['ClusterIP', 'ExternalName'] || variables.opened",
                "message": "a Service of this namespace stays inside the cluster, unless the platform states it as the"
                " `access` of a gateway, with these ranges",
                "messageExpression": "'the Service ' + variables.name + ' of type ' + variables.type + ' from '"
                " + variables.ranges.join(', ') + ' is not stated as the `access` of a gateway'",
                "reason": "Forbidden",
            },
        ],
    }


def _is_service(service: OutsideService) -> str:
    """CEL: whether a Service opens the gateway as stated, or to fewer callers."""
    key = f"k.startsWith('{LOAD_BALANCER_PREFIX}')"
    annotations = " || ".join(
        [
            f"!{key}",
            *(
                f"(k == {json.dumps(name)} && object.metadata.annotations[k] == {json.dumps(text)})"
                for name, text in sorted(service.annotations.items())
            ),
        ]
    )
    return " && ".join(
        [
            f"request.namespace == '{service.namespace}'",
            f"variables.name == '{service.name}'",
            f"variables.ranges.all(r, r in {json.dumps(list(service.source_ranges))})",
            f"object.spec.?selector.orValue({{}}) == {json.dumps(service.selector)}",
            f"object.metadata.?annotations.orValue({{}}).all(k, {annotations})",
        ]
    )


def _label_policy() -> dict[str, Any]:
    """Restricts who may set a namespace's class label, and protects Pod Security labels of platform namespaces."""
    group, resource, verb = ASSIGN
    class_before = (
        f"oldObject == null ? 'none' : oldObject.metadata.?labels[?'{CLASS_LABEL}'].orValue('none')"
    )
    class_after = f"object.metadata.?labels[?'{CLASS_LABEL}'].orValue('none')"
    platform_namespaces = json.dumps(platform_namespaces_of(SENSITIVITIES))
    unchanged = " && ".join(
        f"object.metadata.?labels[?'{_POD_SECURITY}/{key}'].orValue('none') =="
        f" oldObject.metadata.?labels[?'{_POD_SECURITY}/{key}'].orValue('none')"
        for key in ("enforce", "enforce-version")
    )
    was_restricted = f"oldObject.metadata.?labels[?'{_POD_SECURITY}/enforce'].orValue('none') == 'restricted'"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [
                *_rules([("", "v1", NAMESPACE_WRITES)], ["UPDATE"]),
                *_rules([("", "v1", ["namespaces"])], ["CREATE"]),
            ],
        },
        "variables": [
            {"name": "before", "expression": class_before},
            {"name": "after", "expression": class_after},
        ],
        "validations": [
            {
                "expression": "variables.after == variables.before ||"
                f" authorizer.group('{group}').resource('{resource}').name(variables.after)"
                f".check('{verb}').allowed()",
                "message": f"a namespace gets its class from whoever may `{verb}` `{resource}.{group}`",
                "messageExpression": "'you may not give a namespace the class ' + variables.after + ': that takes"
                f" the verb {verb} on {resource}.{group}, which a ClusterRole can grant'",
                "reason": "Forbidden",
            },
            {
                "expression": f"oldObject == null || !(object.metadata.name in {platform_namespaces}) ||"
                f" !({was_restricted}) || ({unchanged})",
                "message": f"the labels {_POD_SECURITY}/enforce and enforce-version of this namespace stay: its pods"
                " are held to the standard `restricted`",
                "reason": "Forbidden",
            },
        ],
    }


def _rules(rules: list[Rule], operations: list[str]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [group], "apiVersions": [version], "resources": resources, "operations": operations}
        for group, version, resources in rules
    ]


def _pod_policy(rules: list[Rule], spec: str, condition: str, registries: list[str]) -> dict[str, Any]:
    """The policy for one kind of object. Each CEL variable is a list of texts that name violations."""
    variables = {
        "spec": spec,
        "registries": json.dumps(sorted(registries)),
        **_violations(holds_debug_containers=spec == "object.spec"),
    }
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {CLASS_LABEL: "restricted"}},
            "resourceRules": _rules(rules, _CREATE_AND_UPDATE),
        },
        **(
            {"matchConditions": [{"name": "holds-a-pod", "expression": condition}]}
            if condition != "true"
            else {}
        ),
        "variables": [{"name": name, "expression": expression} for name, expression in variables.items()],
        "validations": [
            {
                "expression": f"variables.{variable}.size() == 0",
                "message": message,
                "messageExpression": f"{json.dumps(message + ': ')} + variables.{variable}.join(', ')",
                "reason": "Forbidden",
            }
            for variable, message in _refusals(registries).items()
        ],
    }


def _violations(*, holds_debug_containers: bool) -> dict[str, str]:
    """By variable: the CEL list of a pod's violations. `_refusals` has a message for each variable.

    `holds_debug_containers`: whether this kind of object may have ephemeral containers.
    """
    kinds = ["containers", "initContainers", *(["ephemeralContainers"] if holds_debug_containers else [])]

    def over_containers(suffix: str) -> str:
        return " + ".join(f"variables.spec.?{kind}.orValue([]){suffix}" for kind in kinds)

    return {
        "aws": over_containers(
            ".filter(c, c.?env.orValue([]).exists(e, e.name.startsWith('AWS_')))"
            ".map(c, c.name + ' sets ' + c.env.filter(e, e.name.startsWith('AWS_')).map(e, e.name).join(' '))"
        ),
        "envFrom": over_containers(".filter(c, c.?envFrom.orValue([]).size() > 0).map(c, c.name)"),
        "tokens": (
            "variables.spec.?volumes.orValue([]).filter(v, has(v.projected) &&"
            " v.projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken) &&"
            " s.serviceAccountToken.?audience.orValue('').contains('amazonaws.com'))).map(v, v.name)"
        ),
        "foreign": over_containers(
            ".filter(c, !variables.registries.exists(r, c.?image.orValue('').startsWith(r)))"
            ".map(c, c.name + ' runs ' + c.?image.orValue('no image'))"
        ),
        "foreignVolumes": (
            "variables.spec.?volumes.orValue([]).filter(v, has(v.image) &&"
            " !variables.registries.exists(r, v.image.?reference.orValue('').startsWith(r)))"
            ".map(v, v.name + ' mounts ' + v.image.?reference.orValue('no image'))"
        ),
    }


def _refusals(registries: list[str]) -> dict[str, str]:
    """By variable of `_violations`: the message with which the API server refuses the pod."""
    allowed = ", ".join(registries)
    return {
        "aws": "a restricted namespace has no AWS credentials, and these variables carry or find them",
        "envFrom": "a restricted namespace allows no envFrom, which can bring AWS credentials in unseen",
        "tokens": "a restricted namespace mounts no service-account token for AWS",
        "foreign": f"a restricted namespace runs images of {allowed} only",
        "foreignVolumes": f"a restricted namespace mounts images of {allowed} only",
    }


def _namespace_policy() -> dict[str, Any]:
    """Protects a namespace's class label, because every rule depends on it."""
    class_before = f"oldObject.metadata.labels['{CLASS_LABEL}']"
    class_after = f"object.metadata.?labels[?'{CLASS_LABEL}'].orValue('none')"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": _rules([("", "v1", NAMESPACE_WRITES)], ["UPDATE"]),
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
                "expression": f"{class_after} == {class_before}",
                "message": f"the label {CLASS_LABEL} of a namespace cannot be changed or taken away",
                "messageExpression": f"'the label {CLASS_LABEL} of a namespace cannot be changed or taken"
                f" away: it is ' + {class_before} + ' and would be ' + {class_after}",
                "reason": "Forbidden",
            }
        ],
    }
