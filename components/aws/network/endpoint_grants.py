"""Who may call what through the private endpoints of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.aws.identity.mapping import INVOKE
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
    more: Sequence[EndpointGrant] = (),
    machines: Sequence[EndpointGrant] = (),
) -> list[EndpointGrant]:
    """Who may call what through the network's endpoints: each role its own models and no other's; and `more`.

    `machines`: what those of a cluster call, by services that need not be named: without them none comes to life.
    """
    if not callers:
        return list(machines)
    made: list[EndpointGrant] = [each for each in machines if each["service"] not in network.services]
    more = [*more, *machines]
    subjects: list[Any] = [caller.subject for caller in callers if caller.subject]
    for service in network.services:
        if service == "bedrock-runtime":
            actions = [*INVOKE, "bedrock:ApplyGuardrail"]
            for caller in [each for each in callers if each.models is not None]:
                made.append(
                    {
                        "service": service,
                        "principals": [caller.role],
                        "actions": actions,
                        "resources": caller.models,
                    }
                )
        elif service == "sts":
            made.append(
                {
                    "service": service,
                    "principals": [caller.role for caller in callers],
                    "actions": ["sts:GetCallerIdentity"],
                    "resources": ["*"],
                }
            )
            made += [each for each in more if each["service"] == service]
        elif more and (service == "s3" or any(each["service"] == service for each in more)):
            # S3's, for layers of images, comes with Amazon ECR's.
            made += [each for each in more if each["service"] == service]
        elif service == "rolesanywhere" and subjects:
            # Asked before there is a role: the certificate's name stands for it.
            made.append(
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
                f"network '{network.name}' asks for a private endpoint of {service}, which nothing here calls",
                where=f"networks.{network.name}.services",
                fix="Callers of this platform need bedrock-runtime, rolesanywhere and sts. Where `isthmus up` runs in"
                " the network, name its role under `deployers`; for callers of your own use PrivateEndpoints",
            )
    return made
