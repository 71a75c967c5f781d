"""The part of an estate that a stack builds, and the outputs of the stacks below it.

If a lower layer is not deployed, or is deployed by another plan, the program stops before it registers a resource.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base.stack_scope import Scope
from isthmus.blueprints import estate_migration, estates
from isthmus.contracts.platform import layers as platform_layers
from isthmus.contracts.platform.layers import LAYER_OUTPUT, OUTPUT_PARTS
from isthmus.contracts.platform.migration.capacity import STANDING_OUTPUT, Standing
from isthmus.contracts.vocabulary import UP_STANDING
from isthmus.core.errors import EnvironmentFault
from stacks.aws_account import account

if TYPE_CHECKING:
    import pulumi

    from components import LlmPlatform
    from isthmus.blueprints import StackFiles
    from isthmus.blueprints.estates import Estate, Member
    from isthmus.contracts.platform.model.platform import Platform

Outputs = Mapping[str, Mapping[str, Any]]
"""Stack → its outputs."""


def estate_place(config: pulumi.Config, stack: str, folder: Path) -> tuple[Member, Estate] | None:
    """The stack's place in its estate; None if the stack owns all of its platform."""
    settings = {
        f"isthmus:{name}": value for name in ("layer", "of") if (value := config.get(name)) is not None
    }
    if (serves := config.get_object("serves")) is not None:
        settings["isthmus:serves"] = serves
    member = estates.read_member(settings, stack)
    return (member, estates.estates(folder)[member.estate]) if member is not None else None


def layer_scope(platform: Platform, member: Member, estate: Estate, outputs: Outputs | None) -> Scope:
    """What the stack builds, and what it builds on.

    `outputs`: outputs of the stacks below; None: read them through the engine.
    """
    serves = estate.served_by(platform, member)
    layers_below = []
    for lower in estate.below(member):
        output = (
            outputs[lower.stack].get(LAYER_OUTPUT)
            if outputs is not None
            else _referenced_output(lower.stack, LAYER_OUTPUT)
        )
        layers_below.append(
            platform_layers.read_output(output, platform, estate.name, lower.layer, lower.stack)
        )
    parts_below: Any = {
        part: {name: value for layer in layers_below for name, value in getattr(layer, part).items()}
        for part in OUTPUT_PARTS
    }
    return Scope(member.layer, serves, **parts_below)


def check_serving_stacks(platform: Platform, member: Member, estate: Estate) -> None:
    """Raise, or warn in a preview, if this run would cut off deployed models or build them a second time.

    `isthmus up` makes this check and asks for consent before it runs the program.
    """
    import pulumi

    if member.layer == "foundation" or UP_STANDING in os.environ:
        return
    for serving_member in estate.in_layer("serving"):
        built = [
            Standing.model_validate(endpoint)
            for endpoint in _stack_outputs(serving_member.stack).get(STANDING_OUTPUT) or []
        ]
        for find_refusal in (estate_migration.double_serving_refusal, estate_migration.outage_refusal):
            if (
                serving_member != member
                and member.layer == "serving"
                and find_refusal is estate_migration.outage_refusal
            ):
                continue  # another serving stack's changes to its own models are checked in its own run
            refusal = find_refusal(built, platform, estate, member, serving_member)
            if refusal is not None and not pulumi.runtime.is_dry_run():
                raise refusal
            if refusal is not None:
                pulumi.log.warn(f"`pulumi up` will refuse this: {refusal}")


def ask_account(
    member: Member,
    reached: Platform,
    files: StackFiles,
    providers: dict[str, pulumi.ProviderResource],
    *,
    sandbox: bool,
) -> None:
    """Check the account for this layer, and log warnings."""
    import pulumi

    plan = files.plan
    if member.layer == "foundation":
        # Only its networks: the platform layer checks models and quotas, which may need more permissions.
        plan = plan.model_copy(update={"endpoints": [], "placements": []})
    elif member.layer == "serving":
        # Only SageMaker instances: the platform layer checks models on Bedrock.
        reached = reached.model_copy(
            update={
                "endpoints": [endpoint for endpoint in reached.endpoints if endpoint.target == "sagemaker"]
            }
        )
        plan = plan.model_copy(
            update={
                "endpoints": [endpoint for endpoint in plan.endpoints if endpoint.target == "sagemaker"],
                "placements": [],
            }
        )
    for line in account.check(reached, plan, files.requirements, providers, sandbox=sandbox):
        pulumi.log.warn(line)


def layer_output(
    built: LlmPlatform, platform: Platform, member: Member, everything: list[Any]
) -> pulumi.Output[Any]:
    """The output of this layer, which resolves when all its resources exist: a failed run does not change it."""
    import pulumi

    output = {
        "isthmus": "v1",
        "estate": member.estate,
        "layer": member.layer,
        "digest": platform_layers.digest(platform, member.layer),
        **{key: value for key, value in built.gives.items() if value},
    }
    urns = pulumi.Output.all(*(resource.urn for resource in everything))
    return pulumi.Output.all(urns, output).apply(lambda values: values[1])


def register_resource_list() -> list[pulumi.Resource]:
    """A list to which every resource of the running program is added when it is created."""
    import pulumi

    resources: list[pulumi.Resource] = []
    pulumi.runtime.register_stack_transformation(lambda args: resources.append(args.resource))
    return resources


def _referenced_output(stack: str, output: str) -> Any:
    """An output of another stack of the project; None if the stack does not exist."""
    import pulumi
    from pulumi.runtime.sync_await import _sync_await

    name = _full_stack_name(stack)
    try:
        return _sync_await(pulumi.StackReference(name).get_output_details(output)).value
    except Exception as error:  # noqa: BLE001  the engine raises its backend's error, of any type
        text = " ".join(str(error).split())
        if "unknown stack" in text or "no stack named" in text:
            return None
        raise EnvironmentFault(
            f"the stack below cannot be asked: {text}", where=f"stack {stack}", fix="Check the backend"
        ) from None


def _stack_outputs(stack: str) -> Mapping[str, Any]:
    """The outputs of another stack of the project; empty if it does not exist."""
    from pulumi import runtime

    try:
        result = runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": _full_stack_name(stack)}).value
    except Exception as error:  # noqa: BLE001  as above
        text = " ".join(str(error).split())
        if "unknown stack" in text or "no stack named" in text:
            return {}
        raise EnvironmentFault(
            f"the stack beside this one cannot be asked: {text}",
            where=f"stack {stack}",
            fix="Check the backend",
        ) from None
    return (result or {}).get("outputs") or {}


def _full_stack_name(stack: str) -> str:
    import pulumi

    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
