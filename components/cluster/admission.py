"""Creates the admission policies of a cluster, mainly those that restrict pods in restricted namespaces."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import common_labels, create_admission_policy
from isthmus.contracts.reference.admission import (
    CLASS_PREFIX,
    RESTRICTED_PREFIX,
    OutsideService,
    admission_policies,
    class_policies,
)
from isthmus.core.errors import InputError


class OpenedService(TypedDict):
    """A Service that opens a class's gateway to callers outside the cluster."""

    namespace: str
    """Namespace of the gateway."""
    name: str
    """Name of the Service."""
    source_ranges: list[str]
    """Ranges of the callers. The Service may name fewer."""
    selector: dict[str, str]
    """Labels of the gateway's pods."""
    annotations: NotRequired[dict[str, str]]
    """All its annotations for load balancers of clouds."""


class AdmissionGuardArgs(TypedDict):
    """The admission policies of a cluster: what may run in its restricted namespaces."""

    registries: list[str]
    """Allowed image prefixes, each ending in `/`."""
    emergency_users: NotRequired[list[str]]
    """Users who may open shells in restricted and confidential pods during an emergency access. Absent: nobody."""
    routed_classes: NotRequired[list[str]]
    """Classes with a router, whose proxies may use an image by tag (default none)."""
    outside: NotRequired[list[OpenedService]]
    """Services that open a gateway to callers outside the cluster. Absent: no Service leaves the cluster."""


class AdmissionGuard(pulumi.ComponentResource):
    """Admission policies that refuse AWS credentials and foreign images in restricted namespaces.

    Enforcement begins shortly after the bindings are created (0.4 s measured). Existing pods are not affected.
    """

    policies: pulumi.Output[list[str]]
    """Names of the ValidatingAdmissionPolicies. Each binding has the name of its policy."""

    def __init__(
        self, name: str, args: AdmissionGuardArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:AdmissionGuard", name, dict(args), opts)
        registries = args["registries"]
        if not registries or not all(prefix.endswith("/") and len(prefix) > 1 for prefix in registries):
            raise InputError(
                f"image registries {registries} would admit images from other registries",
                where=f"{name}.registries",
                fix="List at least one prefix, each ending in '/': without the slash registry.bank also matches"
                " registry.bank.example",
            )
        names = [
            self._policy(name, shape, f"{RESTRICTED_PREFIX}-{shape}", spec)
            for shape, spec in admission_policies(registries).items()
        ]
        names += [
            self._policy(name, topic, f"{CLASS_PREFIX}-{topic}", spec)
            for topic, spec in class_policies(
                args.get("emergency_users", []), args.get("routed_classes", []), _outside(args)
            ).items()
        ]
        self.policies = pulumi.Output.from_input(names)
        self.register_outputs({"policies": self.policies})

    def _policy(self, name: str, shape: str, policy_name: str, spec: Any) -> str:
        create_admission_policy(f"{name}-{shape}", policy_name, common_labels(RESTRICTED_PREFIX), spec, self)
        return policy_name


def _outside(args: AdmissionGuardArgs) -> list[OutsideService]:
    return [
        OutsideService(
            namespace=service["namespace"],
            name=service["name"],
            source_ranges=tuple(service["source_ranges"]),
            selector=service["selector"],
            annotations=service.get("annotations", {}),
        )
        for service in args.get("outside", [])
    ]
