"""Builds the policies of private endpoints, and checks their grants.

An endpoint's policy limits every call through it, whatever credentials sign the call. So stolen keys of another
account cannot be used through it.
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
"""IAM prefix of services whose actions have another prefix than the service's name."""
KNOWN_LATER = "known later"
"""Stands for a resource that is an output, which is checked when it is known."""


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
    """Raise `InputError` for an unknown service, or a grant without principals or resources, or with wildcards for
    all.
    """
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
    """Check that resources are specific. `*` is allowed only for actions without resources.

    A wildcard may replace a region, because a model is called in each destination of a profile, and a part of a
    name or everything below it (`audit/*`). It may not replace an account or a whole name.
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
    """Check that a principal is a role's ARN, or a certificate's common name for Roles Anywhere."""
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
    """The policy of a service's endpoint as JSON, with one statement for each grant in their order.

    Roles are matched in a condition, because a role's ARN as `Principal` would not match its sessions at a gateway
    endpoint. The policy of Roles Anywhere is evaluated before the certificate. So its principal is `*`, its
    resource is the trust anchor, and a condition matches the certificate's common name (IAM Roles Anywhere user
    guide, "VPC endpoint policy for CreateSession", read 2026-11-25). `deployers`: roles that deploy infrastructure
    with the service. Their own policies limit them. `layers`: whether image layers of Amazon ECR may be read, which
    ECR provides as signed links to its own bucket.
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
    """Deployers may call the service. They may call S3 in their own account only, so that they cannot reach buckets
    of others.
    """
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
    # An output may also be a whole list of resources.
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
