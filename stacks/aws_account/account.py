"""Checks facts that only the AWS account knows, before anything is created in it.

Contracts are checked without a cloud. Here the account is read through the site's provider, so that plain `pulumi up`
and a preview make the same checks. Nothing is changed. `stacks.aws_account.model_access` checks whether the account may
call a model.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.platform.rules.aws import account as aws_account_rules
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from stacks.aws_account import instance_quotas, model_access, service_roles
from stacks.aws_account.client import Asked, quota

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.aws.account import Network
    from isthmus.contracts.platform.model.platform import Endpoint, Platform
    from isthmus.contracts.requirements.document import Requirements


def check(
    platform: Platform,
    plan: Plan,
    requirements: Requirements,
    providers: dict[str, pulumi.ProviderResource],
    today: datetime.date | None = None,
    *,
    sandbox: bool = False,
) -> list[str]:
    """Check the account of each AWS site. Returns warnings, a line each.

    Raises `InputError` for names that do not exist in the account, `Refused` for a setting that is not allowed or a
    quota that is too small, and `EnvironmentFault` if the account does not answer.
    """
    today = today or datetime.datetime.now(datetime.UTC).date()
    warnings = aws_account_rules.expiring_authorities(platform, today)
    for site in platform.sites:
        if site.kind != "aws":
            continue
        account, models = Asked(site, providers[site.name]), model_access.Account(site, sandbox)
        for network in platform.networks:
            if network.site == site.name:
                check_network(account, network)
        for endpoint in platform.endpoints:
            if endpoint.site == site.name and endpoint.target == "bedrock":
                check_model(account, endpoint)
                warnings += models.may_call(endpoint)
        check_instance_types(account, plan)
        if not sandbox:
            # The simulated AWS of the sandbox does not check the principals of a key policy.
            warnings += service_roles.check_service_roles(site, platform)
        warnings += instance_quotas.check_instance_quotas(account, platform)
        warnings += check_bedrock_quotas(account, plan, requirements)
    return warnings


def check_network(account: Asked, network: Network) -> None:
    """The zones of a new network exist; an existing network is private and has the stated addresses."""
    from pulumi_aws import get_availability_zones

    where = f"networks[{network.name}]"
    if network.mode == "manage":
        zones = _ask(
            account, "zones", lambda: get_availability_zones(state="available", opts=account.options)
        )
        for zone in network.zones:
            if zone not in zones.names:
                raise InputError(
                    f"the account has no zone `{zone}` in {account.site.region}",
                    where=f"{where}.zones",
                    fix=f"It has: {', '.join(sorted(zones.names))}",
                )
    elif network.mode == "existing":
        _check_existing_network(account, network, where)


def _check_existing_network(account: Asked, network: Network, where: str) -> None:
    from pulumi_aws import ec2

    vpc = _ask(
        account,
        f"VPC {network.vpc}",
        lambda: ec2.get_vpc(id=network.vpc, opts=account.options),
        f"{where}.vpc",
    )
    blocks = [vpc.cidr_block, *(association.cidr_block for association in vpc.cidr_block_associations or [])]
    cidr = ipaddress.ip_network(network.cidr or "")
    if not any(cidr.subnet_of(ipaddress.ip_network(block)) for block in blocks):  # type: ignore[arg-type]
        raise InputError(
            f"`{cidr}` is not within VPC {network.vpc}, which has {', '.join(sorted(set(blocks)))}",
            where=f"{where}.cidr",
            fix="State the VPC's own network",
        )
    zones: dict[str, str] = {}
    for number, name in enumerate(network.subnets):
        place = f"{where}.subnets[{number}]"
        subnet = _ask(
            account,
            f"subnet {name}",
            lambda name=name: ec2.get_subnet(id=name, opts=account.options),
            place,
        )
        if subnet.vpc_id != network.vpc:
            raise InputError(
                f"subnet {name} is in {subnet.vpc_id}, not in {network.vpc}",
                where=place,
                fix=_private_subnets_fix(account, network),
            )
        zone = subnet.availability_zone
        if zone in zones:
            raise InputError(
                f"subnets {zones[zone]} and {name} of VPC {network.vpc} both stand in {zone}",
                where=place,
                fix=f"AWS takes one a zone for endpoints and attachments. {_private_subnets_fix(account, network)}",
            )
        zones[zone] = name
        if not network.internet and (gateway := _internet_gateway_of(account, name, network)):
            raise Refused(
                f"subnet {name} of VPC {network.vpc} is not private: its route table leads to {gateway}",
                where=place,
                fix=_private_subnets_fix(account, network),
            )


def _private_subnets_fix(account: Asked, network: Network) -> str:
    """The fix for unsuitable subnets: it lists the subnets of the VPC without a route to the internet."""
    from pulumi_aws import ec2

    of_vpc = [ec2.GetSubnetsFilterArgs(name="vpc-id", values=[network.vpc or ""])]
    subnets = _ask(
        account, f"subnets of {network.vpc}", lambda: ec2.get_subnets(filters=of_vpc, opts=account.options)
    )
    private = [name for name in sorted(subnets.ids) if not _internet_gateway_of(account, name, network)]
    if not private:
        return f"{network.vpc} has no private subnet: make some in two zones, or name another VPC"
    return f"Name private subnets of {network.vpc}: {', '.join(private)}"


def _internet_gateway_of(account: Asked, subnet: str, network: Network) -> str | None:
    """The internet gateway of a subnet's route table, if it has one.

    A subnet without its own table uses the VPC's main table.
    """
    from pulumi_aws import ec2

    try:
        table = ec2.get_route_table(subnet_id=subnet, opts=account.options)
    except Exception:  # noqa: BLE001  the provider has its own error for "none"; the main table applies then
        main = [
            ec2.GetRouteTableFilterArgs(name="vpc-id", values=[network.vpc or ""]),
            ec2.GetRouteTableFilterArgs(name="association.main", values=["true"]),
        ]
        table = _ask(
            account,
            f"main route table of {network.vpc}",
            lambda: ec2.get_route_table(filters=main, opts=account.options),
        )
    return next(
        (route.gateway_id for route in table.routes if (route.gateway_id or "").startswith("igw-")), None
    )


def check_model(account: Asked, endpoint: Endpoint) -> None:
    """The region offers the plan's model, and its inference profile leads only to the regions of the platform."""
    from pulumi_aws import bedrock, bedrockfoundation

    where = f"endpoints[{endpoint.id}]"
    region = endpoint.region or account.site.region or ""
    _ask(
        account,
        f"model {endpoint.model} in {region}",
        lambda: bedrockfoundation.get_model(model_id=endpoint.model, region=region, opts=account.options),
        f"{where}.model",
    )
    if not endpoint.inference_profile:
        return
    profile = _ask(
        account,
        f"inference profile {endpoint.inference_profile} in {region}",
        lambda: bedrock.get_inference_profile(
            inference_profile_id=endpoint.inference_profile or "", region=region, opts=account.options
        ),
        f"{where}.inference_profile",
    )
    regions = {model.model_arn.split(":")[3] for model in profile.models}
    unexpected = sorted(regions - set(endpoint.destination_regions or [region]))
    if unexpected:
        raise Refused(
            f"AWS says that the profile {endpoint.inference_profile} routes to {', '.join(unexpected)} too, "
            "which the plan's residency check did not cover",
            where=f"{where}.destination_regions",
            fix="Update Isthmus, whose table of profiles is older than AWS's, and plan again; or plan without this "
            "profile",
        )


def check_instance_types(account: Asked, plan: Plan) -> None:
    """The region offers every instance type that the plan uses there."""
    types = sorted(
        {
            endpoint.instance_type.removeprefix("ml.")
            for endpoint in plan.endpoints
            if endpoint.site == account.site.name and endpoint.instance_type
        }
    )
    if not types:
        return
    from pulumi_aws import ec2

    filters = [ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=types)]
    offerings = _ask(
        account,
        "instance types",
        lambda: ec2.get_instance_type_offerings(
            filters=filters, location_type="region", opts=account.options
        ),
    )
    missing = [kind for kind in types if kind not in offerings.instance_types]
    if missing:
        raise InputError(
            f"{account.site.region} does not offer {', '.join(missing)}",
            where=f"the plan (endpoints at {account.site.name})",
            fix="Choose another instance type or region, and plan again",
        )


def check_bedrock_quotas(account: Asked, plan: Plan, requirements: Requirements) -> list[str]:
    """The quotas of the account allow the plan's peak. Returns a line for each quota that AWS does not report."""
    unknown: list[str] = []
    for need in bedrock_quotas.quota_needs(plan, requirements):
        if need.site != account.site.name or need.kind != "tokens":
            continue
        quotas = ((name, quota(account, name, need.region)) for name in need.names)
        name, amount = next(((name, amount) for name, amount in quotas if amount is not None), ("", None))
        if amount is None:
            unknown.append(
                f"the account of {need.site} tells no quota of tokens a minute for {need.model} in {need.region}; "
                f"the plan's peak needs {need.amount:,}"
            )
        elif amount < need.amount:
            raise Refused(
                bedrock_quotas.shortage(need, name, amount),
                where=f"the account of {need.site}, {need.region}",
                fix="Have AWS raise it (Service Quotas), or place the work elsewhere",
            )
    return unknown


def _ask(account: Asked, message: str, question: Any, where: str = "") -> Any:
    """The provider's answer. Raises an error that names the question, the account and AWS's message."""
    try:
        return question()
    except Exception as error:  # noqa: BLE001  the engine raises the provider's error, of any type
        place = where or f"sites[{account.site.name}]"
        text = " ".join(str(error).split())
        # The engine adds its own text to the provider's error.
        text = text.rpartition("error: ")[2] or text
        missing = any(
            phrase in text
            for phrase in (
                "NotFound",
                "not found",
                "does not exist",
                "no matching",
                "not exist",
                "couldn't find",
            )
        )
        if missing:
            raise InputError(
                f"the account has no {message}: {text}",
                where=place,
                fix="Correct the name, or choose another",
            ) from None
        raise EnvironmentFault(
            f"the account of {account.site.name} does not tell of {message}: {text}",
            where=place,
            fix="Check the credentials' permissions and the network, then run the same command again",
        ) from None
