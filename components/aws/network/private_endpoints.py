"""The component PrivateEndpoints: interface endpoints of AWS services, each with its own policy."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.ip_addresses import ipv4_networks
from components.aws.common.security_group import AllowedTraffic, one_way_group
from components.aws.network.endpoint_policy import EndpointGrant, check_grant, endpoint_policy
from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES
from isthmus.core.errors import EnvironmentFault, InputError

ECR = ("ecr.api", "ecr.dkr")


class PrivateEndpointsArgs(TypedDict):
    """The private endpoints of a network."""

    name: str
    """Name of the network."""
    region: str
    """AWS region of the network and of the services."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of private subnets, one in each zone. Each endpoint has an address in each."""
    route_table_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of the subnets' route tables, for the S3 endpoint."""
    sources: list[str]
    """Networks that may reach the endpoints, in addition to the VPC's own."""
    vpc_cidr: NotRequired[str]
    """CIDR of the VPC. Absent: only `sources` may reach the endpoints."""
    grants: list[EndpointGrant]
    """Permissions by service. A service without a grant gets no endpoint."""
    deployers: NotRequired[list[str]]
    """ARNs of roles that deploy from within the network. Endpoints of services that carry prompts refuse them."""
    deployment_services: NotRequired[list[str]]
    """Services that only deployers call. Each gets an endpoint too."""
    private_dns: NotRequired[bool]
    """Whether the services' public names resolve to these endpoints (default true). Once in each VPC."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class PrivateEndpoints(pulumi.ComponentResource):
    """An interface endpoint for each service with a grant, and S3's gateway endpoint.

    A gateway endpoint serves the VPC only. On-prem callers cannot use it.
    """

    urls: pulumi.Output[dict[str, str]]
    """`https://` and the endpoint's regional DNS name, by service. S3's gateway endpoint has none."""
    ids: pulumi.Output[dict[str, str]]
    """Id of the endpoint of each service."""
    group_id: pulumi.Output[str]
    """Id of the interface endpoints' security group."""
    s3_prefix_list: pulumi.Output[str]
    """Id of S3's prefix list in the region, for egress rules of callers. Empty without S3's endpoint."""

    def __init__(
        self, name: str, args: PrivateEndpointsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:PrivateEndpoints", name, dict(args), opts)
        where = f"networks.{args['name']}"
        grants_by_service = _grants_by_service(args, where)
        _check_route_tables(args, grants_by_service, where)
        sources = _sources(args, where)
        self.group_id = one_way_group(
            name,
            # An endpoint answers, but opens no connections itself.
            AllowedTraffic("ingress", 443, sources),
            description="HTTPS to private endpoints from named networks",
            vpc_id=args["vpc_id"],
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        endpoints = {
            service: self._create_endpoint(name, args, service, grants_by_service)
            for service in sorted(grants_by_service)
        }
        self._set_outputs(endpoints)

    def _create_endpoint(
        self,
        name: str,
        args: PrivateEndpointsArgs,
        service: str,
        grants_by_service: Mapping[str, list[EndpointGrant]],
    ) -> Any:
        """Create the endpoint of a service: a gateway for S3, an interface for others."""
        from pulumi_aws import ec2

        kind: dict[str, Any] = {
            "vpc_endpoint_type": "Interface",
            "subnet_ids": args["subnet_ids"],
            "security_group_ids": [self.group_id],
            # The service's public name resolves to the endpoint too, so no caller in the VPC can bypass it.
            "private_dns_enabled": args.get("private_dns", True),
        }
        if service == "s3":
            kind = {"vpc_endpoint_type": "Gateway", "route_table_ids": args["route_table_ids"]}
        return ec2.VpcEndpoint(
            f"{name}-{service.replace('.', '-')}",
            service_name=f"com.amazonaws.{args['region']}.{service}",
            policy=endpoint_policy(
                service,
                grants_by_service[service],
                args["region"],
                layers=service == "s3" and _pulls_images(grants_by_service),
                deployers=args.get("deployers", []),
            ),
            tags={**args.get("tags", {}), "Name": f"{name}-{service}"},
            vpc_id=args["vpc_id"],
            opts=pulumi.ResourceOptions(parent=self),
            **kind,
        )

    def _set_outputs(self, endpoints: Mapping[str, Any]) -> None:
        ids: dict[str, Any] = {service: endpoint.id for service, endpoint in endpoints.items()}
        urls: dict[str, Any] = {
            service: endpoint.dns_entries.apply(lambda entries, service=service: _url(entries, service))
            for service, endpoint in endpoints.items()
            if service != "s3"
        }
        self.ids = pulumi.Output.from_input(ids)
        self.urls = pulumi.Output.from_input(urls)
        self._interfaces = list(urls)
        s3 = endpoints.get("s3")
        self.s3_prefix_list = s3.prefix_list_id if s3 is not None else pulumi.Output.from_input("")
        self.register_outputs(
            {
                "urls": self.urls,
                "ids": self.ids,
                "group_id": self.group_id,
                "s3_prefix_list": self.s3_prefix_list,
            }
        )

    def url(self, service: str) -> pulumi.Output[str]:
        """`https://` and the DNS name of the service's endpoint, for on-prem callers.

        Raises `InputError` for a service without an interface endpoint here.
        """
        if service not in self._interfaces:
            raise InputError(
                f"the network has no interface endpoint of '{service}'",
                where="networks.services",
                fix=f"Add it to the network's services. Existing endpoints: {', '.join(self._interfaces) or 'none'}",
            )
        return self.urls.apply(lambda urls: urls[service])


def _grants_by_service(args: PrivateEndpointsArgs, where: str) -> dict[str, list[EndpointGrant]]:
    """The checked grants of each service with an endpoint. Without grants if only deployers or image pulls need it."""
    if not args["grants"]:
        raise InputError(
            "grants is empty, so no private endpoint is needed",
            where=f"{where}.grants",
            fix="Add a grant, or remove PrivateEndpoints",
        )
    grants_by_service: dict[str, list[EndpointGrant]] = {}
    for index, grant in enumerate(args["grants"]):
        check_grant(grant, f"{where}.grants.{index}")
        grants_by_service.setdefault(grant["service"], []).append(grant)
    deployment_services = args.get("deployment_services", []) if args.get("deployers") else []
    for index, service in enumerate(deployment_services):
        if service not in CONTROL_SERVICES:
            raise InputError(
                f"'{service}' is not a service that deployments call",
                where=f"{where}.deployment_services.{index}",
                fix=f"Use one of: {', '.join(CONTROL_SERVICES)}",
            )
        grants_by_service.setdefault(service, [])
    if _pulls_images(grants_by_service):
        # Image layers come from S3. Without it a pull fails half-way.
        grants_by_service.setdefault("s3", [])
    return grants_by_service


def _pulls_images(grants_by_service: Mapping[str, list[EndpointGrant]]) -> bool:
    return any(service in grants_by_service for service in ECR)


def _check_route_tables(
    args: PrivateEndpointsArgs, grants_by_service: Mapping[str, list[EndpointGrant]], where: str
) -> None:
    """Raise an error if S3's gateway endpoint, which works by routes, has no route tables."""
    tables: Any = args["route_table_ids"]
    if "s3" in grants_by_service and isinstance(tables, list) and not tables:
        raise InputError(
            "the S3 endpoint needs route tables, but none is listed",
            where=f"{where}.route_tables",
            fix="List those of the private subnets (rtb-…)",
        )


def _sources(args: PrivateEndpointsArgs, where: str) -> list[str]:
    """The networks that may reach the endpoints."""
    vpc_networks = [args.get("vpc_cidr", "")] if args.get("vpc_cidr") else []
    sources = [str(net) for net in ipv4_networks([*vpc_networks, *args["sources"]], f"{where}.sources")]
    if not sources:
        raise InputError(
            "no network may reach the private endpoints",
            where=f"{where}.sources",
            fix="Add the networks of the callers",
        )
    return sources


def _url(entries: Sequence[Any] | None, service: str) -> str:
    """The regional name. Names of zones are longer by the zone, and private DNS names do not start with `vpce`."""
    names = [_name(entry) for entry in entries or ()]
    regional = min((name for name in names if name.startswith("vpce-")), key=len, default="")
    if not regional:
        # With an empty URL the caller would use the public address.
        raise EnvironmentFault(
            f"the endpoint of {service} has no DNS name",
            where="networks.services",
            fix="Refresh the stack: AWS returns the name when the endpoint is available",
        )
    return f"https://{regional}"


def _name(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return entry.get("dns_name") or entry.get("dnsName") or ""
    return entry.dns_name or ""
