"""Opens a gateway to callers outside its cluster: the load balancer's Service, and the network policy of its port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import metadata
from components.cluster.workload_names import WorkloadNames
from isthmus.contracts.reference.gateway_access import OUTSIDE_PORT, Access, range_problem, wrong_annotation
from isthmus.core.errors import InputError, Refused


class GatewayAccess(TypedDict):
    """A load balancer that passes TLS through to the gateway, for callers from stated ranges."""

    host: str
    """Name that callers use. The gateway's certificate has it."""
    source_ranges: list[str]
    """Addresses of the callers. `0.0.0.0/0` only for class public; for restricted only within `site_cidrs`."""
    port: NotRequired[int]
    """Port of the load balancer (default 443)."""
    load_balancer_class: NotRequired[str]
    """Which controller makes the load balancer. Absent: the cluster's default; in AWS its Load Balancer Controller."""
    annotations: NotRequired[dict[str, str]]
    """What that controller needs. Not what decides about callers or TLS."""
    address: NotRequired[str]
    """The load balancer's address. Absent: the controller chooses one."""
    in_aws: NotRequired[bool]
    """Whether it is a Network Load Balancer of the AWS Load Balancer Controller (default false)."""
    internet_facing: NotRequired[bool]
    """AWS: whether it has addresses of the internet (default false). Only for class public."""
    probe_cidrs: NotRequired[list[str]]
    """AWS: networks of the load balancer. It probes the gateway, which closes these connections before TLS."""
    site_cidrs: NotRequired[list[str]]
    """Networks of the gateway's site, from which alone a restricted gateway may be called."""


@dataclass(frozen=True)
class Outside:
    """The access of a gateway, checked."""

    access: Access
    probe_cidrs: Sequence[str]

    @classmethod
    def from_args(cls, sensitivity: str, args: GatewayAccess | None) -> "Outside | None":
        """None: nobody outside may call it. Raises `Refused` for ranges that the class does not allow."""
        if args is None:
            return None
        where = f"{sensitivity}-gateway.access"
        if not args["source_ranges"]:
            message, fix = "no range of callers is named", "List their networks, or remove `access`"
            raise InputError(message, where=f"{where}.source_ranges", fix=fix)
        for text in args["source_ranges"]:
            if problem := range_problem(sensitivity, text, args.get("site_cidrs", [])):
                error = Refused if problem.refused else InputError
                raise error(problem.what, where=f"{where}.source_ranges", fix=problem.fix)
        if args.get("internet_facing") and sensitivity != "public":
            message = f"a gateway of class {sensitivity} would have addresses of the internet"
            raise Refused(message, where=f"{where}.internet_facing", fix="Only class public may have them")
        for key in args.get("annotations", {}):
            if wrong_annotation(key):
                message = f"the annotation {key} would decide about callers, addresses or TLS"
                raise Refused(message, where=f"{where}.annotations", fix="Remove it")
        access = Access(
            sensitivity=sensitivity,
            host=args["host"],
            source_ranges=args["source_ranges"],
            port=args.get("port", 443),
            load_balancer_class=args.get("load_balancer_class"),
            annotations=args.get("annotations", {}),
            address=args.get("address"),
            in_aws=args.get("in_aws", False),
            internet_facing=args.get("internet_facing", False),
        )
        return cls(access, args.get("probe_cidrs", []))

    @property
    def edge_section(self) -> dict[str, Any]:
        """Of the edge's configuration: it closes connections from other addresses itself."""
        return {"access": {"port": OUTSIDE_PORT, "source_ranges": sorted(self.access.source_ranges)}}

    def create_network_policy(self, names: WorkloadNames) -> pulumi.Resource:
        """Let the ranges, and the load balancer's probes, connect to the port of callers outside."""
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        ranges = sorted({*self.access.source_ranges, *self.probe_cidrs})
        spec: Any = {
            "podSelector": {"matchLabels": names.selector},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"ipBlock": {"cidr": cidr}} for cidr in ranges],
                    "ports": [{"protocol": "TCP", "port": OUTSIDE_PORT}],
                }
            ],
        }
        return NetworkPolicy(
            f"{names.name}-from-outside",
            metadata=names.metadata(self.access.service),
            spec=spec,
            opts=names.options,
        )

    def create_service(
        self, names: WorkloadNames, dependencies: Sequence[pulumi.Resource]
    ) -> pulumi.Resource:
        """Create the load balancer's Service, after the network policy."""
        from pulumi_kubernetes.core.v1 import Service

        own = metadata(
            self.access.service,
            names.labels,
            namespace=names.namespace,
            annotations=self.access.all_annotations,
        )
        spec: Any = self.access.spec()
        return Service(
            f"{names.name}-outside",
            metadata=own,
            spec=spec,
            opts=pulumi.ResourceOptions(parent=names.parent, depends_on=[*dependencies]),
        )
