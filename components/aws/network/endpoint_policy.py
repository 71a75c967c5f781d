"""Policies of private endpoints: who may do what to what, and nobody anything else.

An endpoint's policy bounds every call through it, whoever's credentials sign it: with stolen keys of another
account it is of no use.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import partition
from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES, SERVICES
from isthmus.contracts.reference.aws_actions import UNSCOPED, any_resource
from isthmus.core.errors import InputError

PREFIX = {
    "bedrock-runtime": "bedrock",
    "ecr.api": "ecr",
    "ecr.dkr": "ecr",
    "sagemaker.runtime": "sagemaker",
    "sagemaker.api": "sagemaker",
    "monitoring": "cloudwatch",
}
"""Of a service's actions in IAM, where it is not the service's own name."""
LATER = "known later"
"""In place of a resource that is an output: it is looked at once it is known."""


class EndpointGrant(TypedDict):
    """Leave to do something through a service's endpoint."""

    service: str
    """The AWS service, e.g. bedrock-runtime."""
    principals: list[pulumi.Input[str]]
    """ARNs of roles. For rolesanywhere: common names (CN) of certificates; who asks for a session has no role."""
    actions: list[str]
    """Actions of the service, each named, e.g. bedrock:InvokeModel."""
    resources: pulumi.Input[Sequence[pulumi.Input[str]]]
    """ARNs of what they may be done to. For rolesanywhere: of the trust anchors."""
    account: NotRequired[pulumi.Input[str]]
    """Number of the account that owns the resources; one of the same name elsewhere is not reached. Absent: any."""


def check_grant(grant: EndpointGrant, where: str) -> None:
    """Refuse an unknown service, and whatever names nobody, nothing, or anybody and anything."""
    service = grant["service"]
    if service not in SERVICES:
        raise InputError(
            f"'{service}' has no private endpoint here",
            where=f"{where}.service",
            fix=f"Known: {', '.join(SERVICES)}",
        )
    for key in ("principals", "actions"):
        if not grant[key]:
            raise InputError(
                f"the grant for {service} names no {key}",
                where=f"{where}.{key}",
                fix="An endpoint's policy names who may do what to what",
            )
    prefix = PREFIX.get(service, service)
    for at, action in enumerate(grant["actions"]):
        if not action.startswith(f"{prefix}:") or "*" in action:
            raise InputError(
                f"'{action}' is not one action of {service}",
                where=f"{where}.actions.{at}",
                fix=f"Name each action itself, like {prefix}:…",
            )
    for at, principal in enumerate(grant["principals"]):
        if isinstance(principal, str):
            _principal(service, principal, f"{where}.principals.{at}")
    told = grant["resources"]
    if isinstance(told, list):
        _resources(grant, [each if isinstance(each, str) else LATER for each in told], f"{where}.resources")


def _resources(grant: EndpointGrant, resources: Sequence[str], where: str) -> list[str]:
    """Resources that are some, not any; `*` only where each action knows none.

    A wildcard may stand for a region, since a model is called in each destination of a profile, and for a part
    of a name or what lies below it (`audit/*`); never for an account, or for the whole of a name.
    """
    if not resources:
        raise InputError(
            f"the grant for {grant['service']} names no resources",
            where=where,
            fix="An endpoint's policy names who may do what to what",
        )
    for at, resource in enumerate(resources):
        if resource == "*" and all(action in UNSCOPED for action in grant["actions"]):
            continue
        if any_resource(resource):
            raise InputError(
                f"'{resource}' is any resource of {grant['service']}",
                where=f"{where}.{at}",
                fix="Name account and resource (`repository/edge`, `audit/*`); only actions that know no"
                " resource take '*'",
            )
    return list(resources)


def _principal(service: str, principal: str, where: str) -> str:
    """A principal that is one: a role's ARN, or a certificate's common name for Roles Anywhere."""
    is_arn = principal.startswith("arn:")
    if "*" in principal or not principal or is_arn == (service == "rolesanywhere"):
        wanted = "a certificate's common name (CN)" if service == "rolesanywhere" else "the ARN of a role"
        raise InputError(
            f"'{principal}' is no principal of {service}",
            where=where,
            fix=f"It is {wanted}, without wildcard",
        )
    return principal


def endpoint_policy(
    service: str,
    grants: list[EndpointGrant],
    region: str,
    *,
    layers: bool = False,
    deployers: Sequence[str] = (),
) -> pulumi.Output[str]:
    """The policy of a service's endpoint as JSON: a statement for each grant, in their order.

    Roles are named in a condition: as `Principal` a role's ARN would not match its sessions at a gateway
    endpoint. The policy of Roles Anywhere is evaluated before the certificate is, so its principal is `*`,
    its resource the trust anchor, and the certificate's common name stands in a condition (IAM Roles
    Anywhere user guide, "VPC endpoint policy for CreateSession", read 2026-11-25).
    `deployers`: roles that make infrastructure by the service: what they may do, their own policies say.
    `layers`: image layers of Amazon ECR may be read, which it hands out as signed links to its own bucket.
    """
    statements = [_statement(service, at, grant) for at, grant in enumerate(grants)]
    if layers:
        bucket = f"arn:{partition(region)}:s3:::prod-{region}-starport-layer-bucket"
        statements.append(
            {
                "Sid": "ImageLayers",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject"],
                "Resource": [f"{bucket}/*"],
            }
        )
    if deployers and service in CONTROL_SERVICES:
        statements.append(_deployment(service, deployers))
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})


def _deployment(service: str, deployers: Sequence[str]) -> dict[str, Any]:
    """Roles by which infrastructure is made may call the service; S3 in their own account only, so that no bucket of
    anybody else's is reached through it."""
    condition: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": list(deployers)}}
    if service == "s3":
        condition["StringEquals"] = {"aws:ResourceAccount": "${aws:PrincipalAccount}"}
    return {
        "Sid": "Deployers",
        "Effect": "Allow",
        "Principal": "*",
        "Action": [f"{PREFIX.get(service, service)}:*"],
        "Resource": ["*"],
        "Condition": condition,
    }


def _statement(service: str, at: int, grant: EndpointGrant) -> dict[str, Any]:
    named = [
        pulumi.Output.from_input(each).apply(
            lambda value: _principal(service, value, f"{service}.principals")
        )
        for each in grant["principals"]
    ]
    # Other components' resources may be known later, as a list of their own.
    told: Any = grant["resources"]
    who: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": named}}
    if service == "rolesanywhere":
        who = {"StringEquals": {"rolesanywhere:x509Subject/CN": named}}
    if "account" in grant:
        who["StringEquals"] = {**who.get("StringEquals", {}), "aws:ResourceAccount": grant["account"]}
    return {
        "Sid": f"Grant{at}",
        "Effect": "Allow",
        "Principal": "*",
        "Action": grant["actions"],
        "Resource": pulumi.Output.from_input(told).apply(
            lambda found: _resources(grant, found, f"{service}.resources")
        ),
        "Condition": who,
    }
