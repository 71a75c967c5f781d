"""Lists the permissions of callers at the private endpoints of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.aws.common.actions import INVOKE
from components.aws.network.private_endpoints import EndpointGrant
from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES, Network
from isthmus.core.errors import InputError


@dataclass(frozen=True)
class Caller:
    """A caller of private endpoints."""

    role: Any
    subject: str | None
    """The name in its certificate. None: it gets its role in another way."""
    models: Any
    """ARNs of the models that it may call on Bedrock. None: it does not call Bedrock."""


def grants(
    network: Network,
    callers: list[Caller],
    anchors: list[Any],
    extra: Sequence[EndpointGrant] = (),
    machines: Sequence[EndpointGrant] = (),
) -> list[EndpointGrant]:
    """Permissions at the network's endpoints: each role for its own models only, and `extra`.

    `machines`: calls of a cluster's nodes, which need them to start, by services that need not be configured.
    """
    if not callers:
        return list(machines)
    others = [*extra, *machines]
    unnamed = [grant for grant in machines if grant["service"] not in network.services]
    return [
        *unnamed,
        *(
            grant
            for service in network.services
            for grant in _service_grants(network, service, callers, anchors, others)
        ),
    ]


def _service_grants(
    network: Network,
    service: str,
    callers: list[Caller],
    anchors: list[Any],
    others: Sequence[EndpointGrant],
) -> list[EndpointGrant]:
    """Permissions at the endpoint of one service. Raises `InputError` for a service that nothing calls."""
    other_grants = [grant for grant in others if grant["service"] == service]
    subjects: list[Any] = [caller.subject for caller in callers if caller.subject]
    if service == "bedrock-runtime":
        return _bedrock_grants(callers)
    if service == "sts":
        roles = [caller.role for caller in callers]
        return [_grant(service, roles, ["sts:GetCallerIdentity"], ["*"]), *other_grants]
    if other_grants or (others and service == "s3"):
        # S3, for image layers, is included with Amazon ECR.
        return other_grants
    if service == "rolesanywhere" and subjects:
        # A session is created before there is a role, so the certificate's name is the principal.
        return [_grant(service, subjects, ["rolesanywhere:CreateSession"], anchors)]
    if network.deployers and service in CONTROL_SERVICES:
        return []  # called by deployers, which every such endpoint admits
    raise InputError(
        f"network '{network.name}' has a private endpoint of {service}, but nothing calls it",
        where=f"networks.{network.name}.services",
        fix=f"Remove {service}: callers need bedrock-runtime, rolesanywhere and sts. Where `isthmus up` runs in"
        " the network, add its role to `deployers`; for other callers use PrivateEndpoints",
    )


def _bedrock_grants(callers: list[Caller]) -> list[EndpointGrant]:
    """Each role calls its own models, with or without a guardrail."""
    actions = [*INVOKE, "bedrock:ApplyGuardrail"]
    return [
        _grant("bedrock-runtime", [caller.role], actions, caller.models)
        for caller in callers
        if caller.models is not None
    ]


def _grant(service: str, principals: list[Any], actions: list[str], resources: Any) -> EndpointGrant:
    return {"service": service, "principals": principals, "actions": actions, "resources": resources}
