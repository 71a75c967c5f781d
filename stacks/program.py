"""The program of every stack: read its settings, make one platform, say what there is.

Importing this module does nothing. `program()` is what the engine runs by way of `__main__`, and what
`isthmus render` runs against a recorder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import catalogue
from isthmus.contracts import moving as moves
from isthmus.contracts.errors import InputError
from isthmus.contracts.platform_eks import provider_key, reached_sites
from isthmus.contracts.words import UP_STEP
from stacks import account, ahead, moving, providers, surroundings, tagging

if TYPE_CHECKING:
    import pulumi

    from components import LlmPlatform
    from isthmus.contracts.plan import Plan
    from isthmus.contracts.platform import Platform

FROM_ENVIRONMENT = "${KUBECONFIG}"
"""Stands for the kubeconfig where nothing is reached and none is named."""


@dataclass(frozen=True)
class Settings:
    """A stack's settings, as its config states them."""

    stack: str
    folder: Path
    """Where `STACK.requirements.yaml` and `STACK.plan.yaml` stand."""
    overrides: dict[str, Any]
    sandbox: bool = False
    """Dummy AWS keys; every address must be this machine's."""
    kubeconfig: str | None = None
    """Path of a kubeconfig; None: the variable KUBECONFIG."""


def program(*, live: bool = False) -> None:
    """Make the stack's platform and export what it is. Run inside a Pulumi stack.

    `live`: providers will reach out, so what they would reach is checked first. Raises `IsthmusError`
    before anything is registered where the stack's files or its surroundings are wrong.
    """
    import pulumi

    from components import LlmPlatform

    settings = configured()
    files = catalogue.read(settings.folder, settings.stack)
    platform = catalogue.assemble(files, settings.overrides, sandbox=settings.sandbox)
    if not settings.sandbox:
        surroundings.addresses_are_real(platform)
    if live:
        surroundings.check(platform, sandbox=settings.sandbox, kubeconfig=settings.kubeconfig)
    tagging.tag_everything(pulumi.get_project(), settings.stack)
    made = site_providers(platform, settings, live=live)
    step = os.environ.get(UP_STEP)
    going = moving.going(platform, settings.stack) if live and step != "room" else ()
    if live:
        ahead.load(platform)
        for line in account.check(platform, files.plan, files.requirements, made, sandbox=settings.sandbox):
            pulumi.log.warn(line)
    if step == "room":
        # Only now: nothing goes down for what the account refuses.
        moving.make_room(platform, made)
        return
    if step == "admission":
        LlmPlatform(platform.name, platform, made, only_admission=True, going=going, connect=providers.eks)
        return
    built = LlmPlatform(platform.name, platform, made, going=going, connect=providers.eks)
    for name, value in outputs(built, platform, files.plan).items():
        pulumi.export(name, value)


def configured() -> Settings:
    """The settings of the stack that runs; `InputError` where one is of the wrong kind."""
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
            todo="Write them as `key: value` lines; docs/stacks.md shows some",
        )
    return Settings(pulumi.get_stack(), root / "stacks", overrides or {}, sandbox, config.get("kubeconfig"))


def site_providers(
    platform: Platform, settings: Settings, *, live: bool = False
) -> dict[str, pulumi.ProviderResource]:
    """A provider for each site, by its name, and one for a cluster of an AWS site, by `SITE/kubernetes`.

    Made here and nowhere else, but for a cluster whose address the stack itself will work out (`providers.eks`).
    """
    kubeconfig = settings.kubeconfig or (surroundings.kubeconfig_path() if live else FROM_ENVIRONMENT)
    made: dict[str, pulumi.ProviderResource] = {
        site.name: providers.aws(site, platform.tags, sandbox=settings.sandbox)
        if site.kind == "aws"
        else providers.kubernetes(site, kubeconfig)
        for site in platform.sites
    }
    clusters = [site for site in reached_sites(platform) if site.kind == "aws"]
    return made | {provider_key(site): providers.kubernetes(site, kubeconfig) for site in clusters}


def outputs(built: LlmPlatform, platform: Platform, plan: Plan) -> dict[str, Any]:
    """What the stack says of itself, by the outputs' names."""
    return {
        "gateways": built.gateways,
        "endpoints": built.endpoints,
        "audit": built.audit,
        "retained": built.retained,
        "links": built.links,
        "data_paths": built.data_paths,
        "plan": plan.model_dump(mode="json", by_alias=True, exclude_none=True),
        moves.STANDING: [each.model_dump(mode="json") for each in moves.standing(platform)],
    }


def _file(stack: str) -> str:
    return f"stacks/Pulumi.{stack}.yaml"
