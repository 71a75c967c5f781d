"""A plan that moves workloads: the deployed endpoints, whether the move may begin, and the step that makes room.

`isthmus up` passes the deployed endpoints and has made the checks. Under plain `pulumi up`, the stack's outputs state
what the last successful run built, so that a move that would wait for ever does not begin there either.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.aws import provider_key
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.migration import messages as migration_messages
from isthmus.contracts.platform.migration.capacity import STANDING_OUTPUT, Standing
from isthmus.contracts.vocabulary import PAUSED_REPLICAS_ANNOTATION, UP_ROOM, UP_STANDING
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform.model.platform import Platform


def endpoints_going_later(platform: Platform, stack: str) -> tuple[Standing, ...]:
    """Endpoints of an earlier plan that are removed once the endpoints of this plan serve.

    Raises, or warns in a preview, if the run would wait for ever:
    `isthmus.contracts.platform.migration.messages.refusal`.
    """
    import pulumi

    json_text = os.environ.get(UP_STANDING)
    built_endpoints = (
        json.loads(json_text)
        if json_text is not None
        else _previous_outputs(stack).get(STANDING_OUTPUT) or []
    )
    move = migration_capacity.plan_move(
        [Standing.model_validate(built) for built in built_endpoints], platform
    )
    if json_text is not None:
        return move.going
    refusal = migration_messages.refusal(move, platform, stack)
    if refusal is not None:
        if not pulumi.runtime.is_dry_run():
            raise refusal
        # A reviewer needs the whole preview; the run itself will refuse.
        pulumi.log.warn(f"`pulumi up` will refuse this: {refusal}")
    elif move.going:
        pulumi.log.warn(
            f"{migration_messages.listed_ids(move.going)} serves until the new plan's endpoints do, and goes "
            "after that; the"
            " namespaces' quotas hold both until the next run of this command (`isthmus up` does it at once)"
        )
    return move.going


def make_room(platform: Platform, providers: dict[str, pulumi.ProviderResource]) -> None:
    """Register the endpoints that go first unchanged, but with no replicas. The engine leaves other resources alone."""
    import pulumi

    room = json.loads(os.environ[UP_ROOM])
    platform_component = pulumi.ComponentResource(
        "isthmus:index:LlmPlatform", platform.name, {"platform": platform.name}
    )
    for server_data in room["servers"]:
        server = pulumi.ComponentResource(
            "isthmus:index:ModelServer",
            server_data["name"],
            server_data["inputs"],
            pulumi.ResourceOptions(parent=platform_component),
        )
        body: dict[str, Any] = server_data["body"]
        provider = _cluster(platform, providers, server_data["site"])
        dependencies: list[pulumi.Resource] = []
        if server_data.get("scaler"):
            # Otherwise KEDA would scale it up again at once.
            scaler: dict[str, Any] = server_data["scaler"]
            metadata_of_scaler = scaler["body"]["metadata"]
            metadata = {
                **metadata_of_scaler,
                "annotations": {
                    **(metadata_of_scaler.get("annotations") or {}),
                    PAUSED_REPLICAS_ANNOTATION: "0",
                },
            }
            dependencies.append(
                pulumi.CustomResource(
                    scaler["type"],
                    scaler["name"],
                    {**scaler["body"], "metadata": metadata},
                    pulumi.ResourceOptions(parent=server, provider=provider),
                )
            )
        pulumi.CustomResource(
            server_data["type"],
            server_data["workload"],
            {**body, "spec": {**body["spec"], "replicas": 0}},
            pulumi.ResourceOptions(parent=server, provider=provider, depends_on=dependencies),
        )
    for name, value in room["outputs"].items():
        pulumi.export(name, value)


def _cluster(
    platform: Platform, providers: dict[str, pulumi.ProviderResource], name: str
) -> pulumi.ProviderResource:
    """The Kubernetes provider of a site. Raises `InputError` if a cluster in AWS has none before it is created."""
    key = next((provider_key(site) for site in platform.sites if site.name == name), name)
    if key not in providers:
        raise InputError(
            f"room is to be made in the cluster at {name}, to which no context leads",
            where=f"sites[{name}].kube_context",
            fix="Set it to a context of your kubeconfig, and run the same command again",
        )
    return providers[key]


def _previous_outputs(stack: str) -> dict[str, Any]:
    """The stack's outputs of the last successful run; empty for a new stack."""
    import pulumi
    from pulumi import runtime

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    answer = runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value
    return (answer or {}).get("outputs") or {}
