"""What a stack builds of its estate, and what the stacks below it give, as the program meets them.

A lower layer that is not up, or stands as another plan says, ends the program before anything is registered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base.stack_scope import Scope
from isthmus.blueprints import estate_migration, estates
from isthmus.contracts.platform import layers as platform_layers
from isthmus.contracts.platform.layers import GIVEN, GIVES
from isthmus.contracts.platform.migration.capacity import STANDING, Standing
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
"""By stack: what a stack of an estate says of itself."""


def place(config: pulumi.Config, stack: str, folder: Path) -> tuple[Member, Estate] | None:
    """Where the stack stands in its estate; None where it owns all of its platform."""
    said = {f"isthmus:{name}": value for name in ("layer", "of") if (value := config.get(name)) is not None}
    if (serves := config.get_object("serves")) is not None:
        said["isthmus:serves"] = serves
    found = estates.member(said, stack)
    return (found, estates.estates(folder)[found.estate]) if found is not None else None


def scope(platform: Platform, member: Member, estate: Estate, given: Outputs | None) -> Scope:
    """What the stack builds, and what it builds on. `given`: outputs of stacks; None: they are asked."""
    serves = estate.served_by(platform, member)
    below = []
    for each in estate.below(member):
        said = given[each.stack].get(GIVEN) if given is not None else _referred(each.stack, GIVEN)
        below.append(platform_layers.taken(said, platform, estate.name, each.layer, each.stack))
    parts: dict[str, dict[str, Any]] = {
        part: {name: one for each in below for name, one in getattr(each, part).items()} for part in GIVES
    }
    return Scope(member.layer, serves, **parts)


def nobody_is_cut_off(platform: Platform, member: Member, estate: Estate) -> None:
    """Raise, or warn of in a preview, where models stand that this run would cut off, or make a second time.

    `isthmus up` has asked, and been told whether it may, before this program runs.
    """
    import pulumi

    if member.layer == "foundation" or UP_STANDING in os.environ:
        return
    for each in estate.of("serving"):
        stands = [Standing.model_validate(one) for one in _outputs(each.stack).get(STANDING) or []]
        for why in (estate_migration.twice, estate_migration.refusal):
            if each != member and member.layer == "serving" and why is estate_migration.refusal:
                continue  # what another serving stack does with its own is its own run's
            refused = why(stands, platform, estate, member, each)
            if refused is not None and not pulumi.runtime.is_dry_run():
                raise refused
            if refused is not None:
                pulumi.log.warn(f"`pulumi up` will refuse this: {refused}")


def ask_account(
    member: Member,
    reached: Platform,
    files: StackFiles,
    providers: dict[str, pulumi.ProviderResource],
    *,
    sandbox: bool,
) -> None:
    """Ask the account what concerns this layer, and warn of what it does not tell."""
    import pulumi

    plan = files.plan
    if member.layer == "foundation":
        # Its networks alone: models and quotas are the platform's question, and may be beyond its permissions.
        plan = plan.model_copy(update={"endpoints": [], "placements": []})
    elif member.layer == "serving":
        # Machines of SageMaker alone: models on Bedrock are the platform's question.
        reached = reached.model_copy(
            update={"endpoints": [each for each in reached.endpoints if each.target == "sagemaker"]}
        )
        plan = plan.model_copy(
            update={
                "endpoints": [each for each in plan.endpoints if each.target == "sagemaker"],
                "placements": [],
            }
        )
    for line in account.check(reached, plan, files.requirements, providers, sandbox=sandbox):
        pulumi.log.warn(line)


def said(built: LlmPlatform, platform: Platform, member: Member, everything: list[Any]) -> pulumi.Output[Any]:
    """What this layer says of itself, once all of it is there: a run that failed says nothing new."""
    import pulumi

    whole = {
        "isthmus": "v1",
        "estate": member.estate,
        "layer": member.layer,
        "digest": platform_layers.digest(platform, member.layer),
        **{key: value for key, value in built.gives.items() if value},
    }
    there = pulumi.Output.all(*(each.urn for each in everything))
    return pulumi.Output.all(there, whole).apply(lambda found: found[1])


def everything_made() -> list[pulumi.Resource]:
    """A list that every resource of the running program is added to as it is made."""
    import pulumi

    made: list[pulumi.Resource] = []
    pulumi.runtime.register_stack_transformation(lambda args: made.append(args.resource))
    return made


def _referred(stack: str, output: str) -> Any:
    """An output of another stack of the project; None where there is no such stack."""
    import pulumi
    from pulumi.runtime.sync_await import _sync_await

    name = _whole_name(stack)
    try:
        return _sync_await(pulumi.StackReference(name).get_output_details(output)).value
    except Exception as error:  # noqa: BLE001  the engine raises what its backend said, of any kind
        words = " ".join(str(error).split())
        if "unknown stack" in words or "no stack named" in words:
            return None
        raise EnvironmentFault(
            f"the stack below cannot be asked: {words}", where=f"stack {stack}", fix="Check the backend"
        ) from None


def _outputs(stack: str) -> Mapping[str, Any]:
    """What another stack of the project says of itself; nothing where there is none."""
    from pulumi import runtime

    try:
        answer = runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": _whole_name(stack)}).value
    except Exception as error:  # noqa: BLE001  as above
        words = " ".join(str(error).split())
        if "unknown stack" in words or "no stack named" in words:
            return {}
        raise EnvironmentFault(
            f"the stack beside this one cannot be asked: {words}",
            where=f"stack {stack}",
            fix="Check the backend",
        ) from None
    return (answer or {}).get("outputs") or {}


def _whole_name(stack: str) -> str:
    import pulumi

    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
