"""The Pulumi program of every stack: reads the settings, builds the platform and exports the outputs.

Importing this module does nothing. The engine runs `program()` through `__main__`; `isthmus render` runs it with a
recorder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import blueprints
from isthmus.blueprints import emergency_access, estates
from isthmus.contracts.platform import layers as platform_layers
from isthmus.contracts.platform.lookups.aws import provider_key, sites_with_known_api_server
from isthmus.contracts.platform.migration import capacity as moves
from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import InputError
from stacks import estate_layer, own_resources, preloading, prerequisites, providers, tagging
from stacks import migration as stack_migration
from stacks.aws_account import account

if TYPE_CHECKING:
    import pulumi

    from components import LlmPlatform
    from components.base.stack_scope import Scope
    from isthmus.blueprints import StackFiles
    from isthmus.blueprints.estates import Estate, Member
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform

KUBECONFIG_PLACEHOLDER = "${KUBECONFIG}"
"""Kubeconfig path if no cluster is reached and none is set."""


LAYER_OUTPUTS: dict[platform_layers.Layer, tuple[str, ...]] = {
    "foundation": ("audit", "retained", "links"),
    "platform": ("gateways", "endpoints", "pools", "data_paths", "retained", "people", "break_glass"),
    "serving": ("plan", moves.STANDING_OUTPUT, "retained"),
}
"""The outputs of each layer. Only serving exports the plan, so that a release changes no output of the layers below."""


@dataclass(frozen=True)
class Settings:
    """The settings of a stack, from its config."""

    stack: str
    folder: Path
    """Folder with `STACK.requirements.yaml` and `STACK.plan.yaml`."""
    overrides: dict[str, Any]
    sandbox: bool = False
    """Whether to use dummy AWS keys; every address must then be this machine's."""
    kubeconfig: str | None = None
    """Path of a kubeconfig. None: the variable KUBECONFIG."""
    place: tuple[Member, Estate] | None = None
    """The stack's place in an estate, whose files it shares. None: the stack owns all of its platform."""


def program(
    *, live: bool = False, lower_outputs: estate_layer.Outputs | None = None, own: bool = True
) -> None:
    """Build the stack's platform, or its layer of one, and export the outputs. Run it inside a Pulumi stack.

    `live`: providers make requests, so their targets are checked first. `lower_outputs`: outputs of the stacks below,
    without an engine that can read them. `own`: also run the organisation's own code (`stacks/own.py`). Raises
    `IsthmusError` before it registers a resource if files, settings or environment are wrong.
    """
    import pulumi

    from components import LlmPlatform
    from components.base.stack_scope import Scope

    settings = read_settings()
    if settings.place is not None:
        layer_program(settings, *settings.place, live=live, lower_outputs=lower_outputs, own=own)
        return
    files, platform = read(settings, settings.stack, settings.overrides)
    if live:
        prerequisites.check(platform, sandbox=settings.sandbox, kubeconfig=settings.kubeconfig)
    tagging.tag_everything(pulumi.get_project(), settings.stack)
    providers_by_site = site_providers(platform, settings, live=live)
    step = os.environ.get(UP_STEP)
    going = stack_migration.endpoints_going_later(platform, settings.stack) if live and step != "room" else ()
    if live:
        preloading.load(platform)
        for line in account.check(
            platform, files.plan, files.requirements, providers_by_site, sandbox=settings.sandbox
        ):
            pulumi.log.warn(line)
    if step == "room":
        # Only now: if the account refuses something, nothing goes down.
        stack_migration.make_room(platform, providers_by_site)
        return
    accesses = emergency_access.read(settings.folder, settings.stack, platform)
    for line in accesses.notes:
        pulumi.log.warn(line)
    built = LlmPlatform(
        platform.name,
        platform,
        providers_by_site,
        only_admission=step == "admission",
        scope=Scope(retained_models=going, accesses=accesses.now),
        connect=providers.eks,
    )
    if step == "admission":
        return
    if own:
        own_resources.add(settings.folder, settings.stack, built, providers_by_site)
    for name, value in outputs(built, platform, files.plan, accesses).items():
        pulumi.export(name, value)


def layer_program(
    settings: Settings,
    member: Member,
    estate: Estate,
    *,
    live: bool,
    lower_outputs: estate_layer.Outputs | None,
    own: bool = True,
) -> None:
    """Like `program`, for a stack that owns one layer of its estate's platform."""
    import pulumi

    from components import LlmPlatform

    overrides = estates.overrides(settings.folder, estate.name)
    files, platform = read(settings, estate.name, overrides, said_in=f"{estate.name}{estates.OVERRIDES}")
    reached = platform_layers.with_sites_of_layer(platform, member.layer, estate.served_by(platform, member))
    if live:
        prerequisites.check(reached, sandbox=settings.sandbox, kubeconfig=settings.kubeconfig)
    scope = estate_layer.layer_scope(platform, member, estate, None if live else lower_outputs or {})
    tagging.tag_everything(pulumi.get_project(), settings.stack)
    everything = estate_layer.register_resource_list()
    providers_by_site = site_providers(reached, settings, live=live)
    step = os.environ.get(UP_STEP)
    if live:
        if step != "room":
            estate_layer.check_serving_stacks(platform, member, estate)
        preloading.load(reached)
        estate_layer.ask_account(member, reached, files, providers_by_site, sandbox=settings.sandbox)
    if step == "room":
        stack_migration.make_room(platform, providers_by_site)
        return
    accesses = _estate_accesses(settings, estate, platform, scope)
    for line in accesses.notes:
        pulumi.log.warn(line)
    built = LlmPlatform(
        platform.name,
        platform,
        providers_by_site,
        only_admission=step == "admission",
        scope=replace(scope, accesses=accesses.now),
        connect=providers.eks,
    )
    if step == "admission":
        return
    if own and member.layer == "platform":
        own_resources.add(settings.folder, settings.stack, built, providers_by_site)
    platform_outputs = outputs(built, platform, files.plan, accesses)
    for name, value in _outputs_of_layer(platform_outputs, platform, member, scope).items():
        pulumi.export(name, value)
    pulumi.export(
        platform_layers.LAYER_OUTPUT, estate_layer.layer_output(built, platform, member, everything)
    )


def _estate_accesses(
    settings: Settings, estate: Estate, platform: Platform, scope: Scope
) -> emergency_access.Accesses:
    """The estate's emergency accesses, in the layer that owns the namespaces; none in the other layers.

    Raises `InputError` if an access was written for one stack of the estate: nobody would read it.
    """
    stack_file = emergency_access.file_of(settings.folder, settings.stack)
    estate_file = emergency_access.file_of(settings.folder, estate.name)
    if stack_file.is_file():
        raise InputError(
            "an emergency access of one stack of an estate, which nobody reads",
            where=f"{settings.folder.name}/{stack_file.name}",
            fix=f"Write it into {estate_file.name}, signed for {estate.name}",
        )
    if scope.owns("platform"):
        return emergency_access.read(settings.folder, estate.name, platform)
    return emergency_access.Accesses()


def _outputs_of_layer(
    platform_outputs: dict[str, Any], platform: Platform, member: Member, scope: Scope
) -> dict[str, Any]:
    """The outputs that belong to the stack's layer; of the endpoints only those that the stack serves."""
    layer_outputs = {
        name: value for name, value in platform_outputs.items() if name in LAYER_OUTPUTS[member.layer]
    }
    if scope.serves is not None and moves.STANDING_OUTPUT in layer_outputs:
        hosted = [endpoint.model_dump(mode="json") for endpoint in moves.hosted_endpoints(platform)]
        endpoints = [*layer_outputs[moves.STANDING_OUTPUT], *hosted]
        layer_outputs[moves.STANDING_OUTPUT] = [
            endpoint for endpoint in endpoints if endpoint["id"] in scope.serves
        ]
    return layer_outputs


def read(
    settings: Settings, name: str, overrides: dict[str, Any], *, said_in: str = ""
) -> tuple[StackFiles, Platform]:
    """The files of a stack or an estate, and their platform. Raises `InputError` for addresses of the documentation."""
    files = blueprints.read(settings.folder, name)
    platform = blueprints.assemble(files, overrides, sandbox=settings.sandbox, overrides_file=said_in)
    if not settings.sandbox:
        prerequisites.check_link_addresses(platform)
    return files, platform


def read_settings() -> Settings:
    """The settings of the running stack. Raises `InputError` for a setting of the wrong type."""
    import pulumi
    from pulumi import runtime

    config = pulumi.Config("isthmus")
    root = Path(runtime.get_root_directory())
    try:
        overrides = config.get_object("overrides")
        sandbox = config.get_bool("sandbox") or False
    except (pulumi.ConfigTypeError, ValueError) as error:
        raise InputError(
            f"a setting is of the wrong kind: {error}", where=_file(pulumi.get_stack())
        ) from None
    if not isinstance(overrides, dict | None):
        raise InputError(
            "the overrides are not a mapping",
            where=f"{_file(pulumi.get_stack())} (isthmus:overrides)",
            fix="Write them as `key: value` lines; docs/stacks.md shows some",
        )
    stack, folder = pulumi.get_stack(), root / "stacks"
    place = estate_layer.estate_place(config, stack, folder)
    return Settings(stack, folder, overrides or {}, sandbox, config.get("kubeconfig"), place)


def site_providers(
    platform: Platform, settings: Settings, *, live: bool = False
) -> dict[str, pulumi.ProviderResource]:
    """A provider for each site, by its name, and one for each cluster of an AWS site, by `SITE/kubernetes`.

    All providers are created here, except for a cluster whose address the stack itself creates (`providers.eks`).
    """

    def kubeconfig() -> str:
        # Read only if there is a cluster: a stack in AWS alone needs no kubeconfig.
        return settings.kubeconfig or (prerequisites.kubeconfig_path() if live else KUBECONFIG_PLACEHOLDER)

    result: dict[str, pulumi.ProviderResource] = {
        site.name: providers.aws(site, platform.tags, sandbox=settings.sandbox)
        if site.kind == "aws"
        else providers.kubernetes(site, kubeconfig())
        for site in platform.sites
    }
    clusters = [site for site in sites_with_known_api_server(platform) if site.kind == "aws"]
    return result | {provider_key(site): providers.kubernetes(site, kubeconfig()) for site in clusters}


def outputs(
    built: LlmPlatform, platform: Platform, plan: Plan, accesses: emergency_access.Accesses
) -> dict[str, Any]:
    """The outputs of the stack, by name."""
    break_glass = [access.model_dump(mode="json", by_alias=True) for access in accesses.now]
    people = {"people": built.people, "break_glass": break_glass} if platform.names_roles else {}
    return {
        **people,
        "gateways": built.gateways,
        "endpoints": built.endpoints,
        "pools": built.pools,
        "audit": built.audit,
        "retained": built.retained,
        "links": built.links,
        "data_paths": built.data_paths,
        "plan": plan.model_dump(mode="json", by_alias=True, exclude_none=True),
        moves.STANDING_OUTPUT: [
            endpoint.model_dump(mode="json") for endpoint in moves.built_endpoints(platform)
        ],
    }


def _file(stack: str) -> str:
    return f"stacks/Pulumi.{stack}.yaml"
