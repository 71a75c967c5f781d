"""Lists who may call what through the private endpoints of a network."""

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
    """Who calls through a private endpoint."""

    role: Any
    subject: str | None
    """The name in its certificate; None: it has its role by another way."""
    models: Any
    """ARNs of what it may invoke on Bedrock; None: it calls nothing there."""


def grants(
    network: Network,
    callers: list[Caller],
    anchors: list[Any],
    extra: Sequence[EndpointGrant] = (),
    machines: Sequence[EndpointGrant] = (),
) -> list[EndpointGrant]:
    """Who may call what through the network's endpoints: each role only its own models; and `extra`.

    `machines`: what those of a cluster call, by services that need not be named: without them none comes to life.
    """
    if not callers:
        return list(machines)
    endpoint_grants: list[EndpointGrant] = [
        grant for grant in machines if grant["service"] not in network.services
    ]
    extra = [*extra, *machines]
    subjects: list[Any] = [caller.subject for caller in callers if caller.subject]
    for service in network.services:
        if service == "bedrock-runtime":
            actions = [*INVOKE, "bedrock:ApplyGuardrail"]
            for caller in [
                caller_with_models for caller_with_models in callers if caller_with_models.models is not None
            ]:
                endpoint_grants.append(
                    {
                        "service": service,
                        "principals": [caller.role],
                        "actions": actions,
                        "resources": caller.models,
                    }
                )
        elif service == "sts":
            endpoint_grants.append(
                {
                    "service": service,
                    "principals": [caller.role for caller in callers],
                    "actions": ["sts:GetCallerIdentity"],
                    "resources": ["*"],
                }
            )
            endpoint_grants += [grant for grant in extra if grant["service"] == service]
        elif extra and (service == "s3" or any(grant["service"] == service for grant in extra)):
            # S3's, for layers of images, comes with Amazon ECR's.
            endpoint_grants += [grant for grant in extra if grant["service"] == service]
        elif service == "rolesanywhere" and subjects:
            # Asked before there is a role: the certificate's name stands for it.
            endpoint_grants.append(
                {
                    "service": service,
                    "principals": subjects,
                    "actions": ["rolesanywhere:CreateSession"],
                    "resources": anchors,
                }
            )
        elif network.deployers and service in CONTROL_SERVICES:
            continue  # called by who runs `isthmus up`, which every such endpoint admits
        else:
            raise InputError(
                f"network '{network.name}' has a private endpoint of {service}, but nothing calls it",
                where=f"networks.{network.name}.services",
                fix=f"Remove {service}: callers need bedrock-runtime, rolesanywhere and sts. Where `isthmus up` runs in"
                " the network, add its role to `deployers`; for other callers use PrivateEndpoints",
            )
    return endpoint_grants
