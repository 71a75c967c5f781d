"""Builds the policies of private endpoints, and checks the grants they are made of.

An endpoint's policy bounds every call through it, whoever's credentials sign it: with stolen keys of another
account it is of no use.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import partition
from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES, SERVICES
from isthmus.contracts.reference.aws_actions import UNSCOPED_ACTIONS, is_open_resource
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
KNOWN_LATER = "known later"
"""In place of a resource that is an output: it is looked at once it is known."""


class EndpointGrant(TypedDict):
    """A permission to call a service through its endpoint."""

    service: str
    """The AWS service, e.g. bedrock-runtime."""
    principals: list[pulumi.Input[str]]
    """ARNs of roles. For rolesanywhere: common names (CN) of certificates, because callers have no role yet."""
    actions: list[str]
    """Actions of the service, e.g. bedrock:InvokeModel. Wildcards are refused."""
    resources: pulumi.Input[Sequence[pulumi.Input[str]]]
    """ARNs of the resources. For rolesanywhere: of the trust anchors."""
    account: NotRequired[pulumi.Input[str]]
    """Id of the account that owns the resources. Others are refused. Absent: any account."""


def check_grant(grant: EndpointGrant, where: str) -> None:
    """Refuse an unknown service, and whatever names nobody, nothing, or anybody and anything."""
    service = grant["service"]
    if service not in SERVICES:
        raise InputError(
            f"'{service}' has no private endpoint in this platform",
            where=f"{where}.service",
            fix=f"Use one of: {', '.join(SERVICES)}",
        )
    for key in ("principals", "actions"):
        if not grant[key]:
            raise InputError(
                f"the grant for {service} lists no {key}",
                where=f"{where}.{key}",
                fix="Set principals, actions and resources of the grant",
            )
    prefix = PREFIX.get(service, service)
    for index, action in enumerate(grant["actions"]):
        if not action.startswith(f"{prefix}:") or "*" in action:
            raise InputError(
                f"'{action}' is not one action of {service}",
                where=f"{where}.actions.{index}",
                fix=f"List each action by its full name, like {prefix}:…",
            )
    for index, principal in enumerate(grant["principals"]):
        if isinstance(principal, str):
            _check_principal(service, principal, f"{where}.principals.{index}")
    resources = grant["resources"]
    if isinstance(resources, list):
        _check_resources(
            grant,
            [resource if isinstance(resource, str) else KNOWN_LATER for resource in resources],
            f"{where}.resources",
        )


def _check_resources(grant: EndpointGrant, resources: Sequence[str], where: str) -> list[str]:
    """Resources that are some, not any; `*` only where each action knows none.

    A wildcard may stand for a region, since a model is called in each destination of a profile, and for a part
    of a name or what lies below it (`audit/*`); never for an account, or for the whole of a name.
    """
    if not resources:
        raise InputError(
            f"the grant for {grant['service']} lists no resources",
            where=where,
            fix="Set principals, actions and resources of the grant",
        )
    for index, resource in enumerate(resources):
        if resource == "*" and all(action in UNSCOPED_ACTIONS for action in grant["actions"]):
            continue
        if is_open_resource(resource):
            raise InputError(
                f"'{resource}' matches any resource of {grant['service']}",
                where=f"{where}.{index}",
                fix="Set account and resource (`repository/edge`, `audit/*`); only actions without a"
                " resource accept '*'",
            )
    return list(resources)


def _check_principal(service: str, principal: str, where: str) -> str:
    """A principal that is one: a role's ARN, or a certificate's common name for Roles Anywhere."""
    is_arn = principal.startswith("arn:")
    if "*" in principal or not principal or is_arn == (service == "rolesanywhere"):
        expected = "a certificate's common name (CN)" if service == "rolesanywhere" else "the ARN of a role"
        raise InputError(
            f"'{principal}' is not a principal of {service}",
            where=where,
            fix=f"Use {expected}, without wildcards",
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
    statements = [_statement(service, index, grant) for index, grant in enumerate(grants)]
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


def _statement(service: str, index: int, grant: EndpointGrant) -> dict[str, Any]:
    principals = [
        pulumi.Output.from_input(principal).apply(
            lambda value: _check_principal(service, value, f"{service}.principals")
        )
        for principal in grant["principals"]
    ]
    # Other components' resources may be known later, as a list of their own.
    resources: Any = grant["resources"]
    condition: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": principals}}
    if service == "rolesanywhere":
        condition = {"StringEquals": {"rolesanywhere:x509Subject/CN": principals}}
    if "account" in grant:
        condition["StringEquals"] = {
            **condition.get("StringEquals", {}),
            "aws:ResourceAccount": grant["account"],
        }
    return {
        "Sid": f"Grant{index}",
        "Effect": "Allow",
        "Principal": "*",
        "Action": grant["actions"],
        "Resource": pulumi.Output.from_input(resources).apply(
            lambda known_resources: _check_resources(grant, known_resources, f"{service}.resources")
        ),
        "Condition": condition,
    }
