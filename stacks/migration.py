"""A plan that moves workloads, as the program meets it: what stands, whether the move may begin, making room.

`isthmus up` tells what stands, and has asked already. Under plain `pulumi up` the stack's own outputs say what the
last run that ended well has built, so that nothing is begun there either that would wait for ever.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.aws import provider_key
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.migration import messages as migration_messages
from isthmus.contracts.platform.migration.capacity import STANDING, Standing
from isthmus.contracts.vocabulary import PAUSED, UP_ROOM, UP_STANDING
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform.model.platform import Platform


def going(platform: Platform, stack: str) -> tuple[Standing, ...]:
    """What stands of an earlier plan and goes once this one's endpoints serve.

    Raises, or warns of in a preview, what would wait for ever: `isthmus.contracts.platform.migration.messages.refusal`.
    """
    import pulumi

    told = os.environ.get(UP_STANDING)
    listed = json.loads(told) if told is not None else _own_outputs(stack).get(STANDING) or []
    found = migration_capacity.move([Standing.model_validate(each) for each in listed], platform)
    if told is not None:
        return found.going
    refused = migration_messages.refusal(found, platform, stack)
    if refused is not None:
        if not pulumi.runtime.is_dry_run():
            raise refused
        # A reviewer wants the whole preview; the run itself will refuse.
        pulumi.log.warn(f"`pulumi up` will refuse this: {refused}")
    elif found.going:
        pulumi.log.warn(
            f"{migration_messages.ids(found.going)} serves until the new plan's endpoints do, and goes after that; the"
            " namespaces' quotas hold both until the next run of this command (`isthmus up` does it at once)"
        )
    return found.going


def make_room(platform: Platform, providers: dict[str, pulumi.ProviderResource]) -> None:
    """Register what must go first as it stands, but with no replica; the engine is told to leave the rest alone."""
    import pulumi

    room = json.loads(os.environ[UP_ROOM])
    whole = pulumi.ComponentResource("isthmus:index:LlmPlatform", platform.name, {"platform": platform.name})
    for each in room["servers"]:
        server = pulumi.ComponentResource(
            "isthmus:index:ModelServer", each["name"], each["inputs"], pulumi.ResourceOptions(parent=whole)
        )
        body: dict[str, Any] = each["body"]
        kept = _cluster(platform, providers, each["site"])
        before: list[pulumi.Resource] = []
        if each.get("scaler"):
            # Else KEDA would bring back at once what goes.
            scaler: dict[str, Any] = each["scaler"]
            meta = scaler["body"]["metadata"]
            told = {**meta, "annotations": {**(meta.get("annotations") or {}), PAUSED: "0"}}
            before.append(
                pulumi.CustomResource(
                    scaler["type"],
                    scaler["name"],
                    {**scaler["body"], "metadata": told},
                    pulumi.ResourceOptions(parent=server, provider=kept),
                )
            )
        pulumi.CustomResource(
            each["type"],
            each["workload"],
            {**body, "spec": {**body["spec"], "replicas": 0}},
            pulumi.ResourceOptions(parent=server, provider=kept, depends_on=before),
        )
    for name, value in room["outputs"].items():
        pulumi.export(name, value)


def _cluster(
    platform: Platform, providers: dict[str, pulumi.ProviderResource], name: str
) -> pulumi.ProviderResource:
    """The Kubernetes provider of a site. Raises `InputError` where a cluster in AWS has none before it is made."""
    key = next((provider_key(site) for site in platform.sites if site.name == name), name)
    if key not in providers:
        raise InputError(
            f"room is to be made in the cluster at {name}, to which no context leads",
            where=f"sites[{name}].kube_context",
            fix="Name a context of your kubeconfig for it, and run the same command again",
        )
    return providers[key]


def _own_outputs(stack: str) -> dict[str, Any]:
    """What the stack said of itself when a run last ended well; nothing for a new one."""
    import pulumi
    from pulumi import runtime

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    answer = runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value
    return (answer or {}).get("outputs") or {}
