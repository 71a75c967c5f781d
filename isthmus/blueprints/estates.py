"""Reads estates. An estate is a set of stacks that build one platform together, one layer each.

The configuration of a stack has three settings. `isthmus:of` names the estate: its stacks share
`ESTATE.requirements.yaml`, `ESTATE.plan.yaml` and `ESTATE.overrides.yaml`. `isthmus:layer` is the layer that the stack
builds. `isthmus:serves` lists the models that a serving stack runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isthmus.contracts.platform.layers import HOSTED_TARGETS, LAYERS, LAYERS_BELOW, Layer
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core import file_cache
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

SETTINGS = ("layer", "of", "serves")
OVERRIDES = ".overrides.yaml"
_LAYER_SETTINGS: tuple[Layer, ...] = ("all", *LAYERS)


@dataclass(frozen=True)
class Member:
    """A stack of an estate."""

    stack: str
    estate: str
    layer: Layer
    serves: tuple[str, ...] | None = None
    """Classes and endpoint ids. None means every model."""

    @property
    def file(self) -> str:
        return f"stacks/Pulumi.{self.stack}.yaml"


@dataclass(frozen=True)
class Estate:
    """The stacks that build one platform, from the lowest layer to the highest."""

    name: str
    members: tuple[Member, ...]

    def member(self, stack: str) -> Member:
        return next(member for member in self.members if member.stack == stack)

    def in_layer(self, layer: Layer) -> list[Member]:
        return [member for member in self.members if member.layer == layer]

    def below(self, member: Member) -> list[Member]:
        """The stacks that `member` depends on."""
        return [lower for layer in LAYERS_BELOW[member.layer] for lower in self.in_layer(layer)]

    def above(self, member: Member) -> list[Member]:
        """The stacks that depend on `member`."""
        return [upper for upper in self.members if member in self.below(upper)]

    def served_by(self, platform: Platform, member: Member) -> frozenset[str]:
        """Ids of the endpoints that `member` serves.

        Raises `InputError` unless exactly one stack serves each endpoint.
        """
        hosted = [endpoint for endpoint in platform.endpoints if endpoint.target in HOSTED_TARGETS]
        owners: dict[str, list[Member]] = {endpoint.id: [] for endpoint in hosted}
        for serving in self.in_layer("serving"):
            known_ids = [endpoint.id for endpoint in platform.endpoints]
            for name in serving.serves or ():
                if name not in (*SENSITIVITIES, *owners):
                    _raise_unknown_name(name, serving, known_ids, list(owners))
            for endpoint in hosted:
                if (
                    serving.serves is None
                    or endpoint.class_ in serving.serves
                    or endpoint.id in serving.serves
                ):
                    owners[endpoint.id].append(serving)
        for id_, servers in owners.items():
            if len(servers) != 1:
                stacks = " and ".join(server.stack for server in servers) or "no stack"
                raise InputError(
                    f"endpoint {id_} is served by {stacks} of estate {self.name}",
                    where=f"{(servers or self.in_layer('serving') or self.members)[0].file} (isthmus:serves)",
                    fix="List the endpoint or its class in exactly one serving stack",
                )
        self._check_claims(platform, owners)
        return frozenset(id_ for id_, servers in owners.items() if servers == [member])

    def _check_claims(self, platform: Platform, owners: dict[str, list[Member]]) -> None:
        """One stack owns each volume claim of weights. A second owner would delete what the first one needs."""
        from isthmus.contracts.platform.lookups.serving import claim_of

        readers: dict[tuple[str, str, str], Member] = {}
        for endpoint in platform.endpoints:
            claim = claim_of(endpoint)
            if (
                endpoint.id not in owners
                or claim is None
                or not (endpoint.weights and endpoint.weights.volume)
            ):
                continue
            (owner,) = owners[endpoint.id]
            first_owner = readers.setdefault((endpoint.site, endpoint.class_, claim), owner)
            if first_owner != owner:
                raise InputError(
                    f"{first_owner.stack} and {owner.stack} both claim {claim} of class {endpoint.class_}"
                    f" at {endpoint.site}",
                    where=f"{owner.file} (isthmus:serves)",
                    fix="Let one stack serve all endpoints of the class that read this claim",
                )


def read_member(config: Mapping[str, Any], stack: str, project: str = "isthmus") -> Member | None:
    """The member that a stack's configuration describes, or None for a stack that owns its whole platform.

    Keys of `config` include the project's name (`isthmus:layer`).
    """
    where = f"stacks/Pulumi.{stack}.yaml"
    layer, estate, serves = (config.get(f"{project}:{setting}") for setting in SETTINGS)
    if layer is not None and layer not in _LAYER_SETTINGS:
        raise InputError(
            f"there is no layer `{layer}`",
            where=f"{where} ({project}:layer)",
            fix=f"{did_you_mean(layer, _LAYER_SETTINGS)} The layers are: {', '.join(_LAYER_SETTINGS)}".lstrip(),
        )
    if layer in (None, "all"):
        for name, value in (("of", estate), ("serves", serves)):
            if value is not None:
                raise InputError(
                    f"`{project}:{name}` is set on a stack that owns its whole platform",
                    where=f"{where} ({project}:{name})",
                    fix=f"Set `{project}:layer`, or remove `{project}:{name}`",
                )
        return None
    if not isinstance(estate, str) or not estate:
        raise InputError(
            f"a stack of layer `{layer}` needs the name of its estate",
            where=f"{where} ({project}:of)",
            fix=f"Set `{project}:of` to the estate whose files the layers share, e.g. `{project}:of: bank`",
        )
    if f"{project}:overrides" in config:
        raise InputError(
            "the layers of an estate share their overrides, but this stack has its own",
            where=f"{where} ({project}:overrides)",
            fix=f"Move them to stacks/{estate}{OVERRIDES}",
        )
    if serves is not None and layer != "serving":
        raise InputError(
            f"layer `{layer}` serves no model",
            where=f"{where} ({project}:serves)",
            fix=f"Remove `{project}:serves`",
        )
    if serves is not None and (
        not isinstance(serves, list) or not serves or not all(isinstance(name, str) for name in serves)
    ):
        raise InputError(
            "not a list of classes and endpoint ids",
            where=f"{where} ({project}:serves)",
            fix="Write e.g. `[restricted, internal-qwen3-8b]`, or remove the setting if one stack serves all models",
        )
    return Member(stack, estate, cast("Layer", layer), None if serves is None else tuple(serves))


def estates(folder: Path, project: str = "isthmus") -> dict[str, Estate]:
    """Every estate of a folder of stacks, by name. Raises `InputError` for an incomplete estate."""
    files = sorted(folder.glob("Pulumi.*.yaml"))
    # Each stack of an estate calls this, and it reads the files of all stacks, so the result is cached.
    return file_cache.once(
        "estates", (project, file_cache.stamp(files)), lambda: _read_estates(files, project)
    )


def _read_estates(files: Sequence[Path], project: str) -> dict[str, Estate]:
    from isthmus.core import yaml_files

    members_of: dict[str, list[Member]] = {}
    stacks = {file.name[len("Pulumi.") : -len(".yaml")]: file for file in files}
    for stack, file in sorted(stacks.items()):
        config = yaml_files.load(file).data.get("config") or {}
        if not isinstance(config, dict):
            continue
        full_config = {key if ":" in key else f"{project}:{key}": value for key, value in config.items()}
        if (member := read_member(full_config, stack, project)) is not None:
            members_of.setdefault(member.estate, []).append(member)
    return {name: _complete_estate(name, members, stacks) for name, members in members_of.items()}


def overrides(folder: Path, estate: str) -> dict[str, Any]:
    """The overrides in `ESTATE.overrides.yaml`, or an empty mapping if the file is missing."""
    from isthmus.core import yaml_files

    file = folder / f"{estate}{OVERRIDES}"
    return yaml_files.load(file).data if file.is_file() else {}


def _complete_estate(name: str, members: list[Member], stacks: Mapping[str, Path]) -> Estate:
    if name in stacks:
        raise InputError(
            f"`{name}` is a stack and an estate, so both would build the same platform",
            where=f"{members[0].file} (isthmus:of)",
            fix="Rename the estate's files, or delete the stack's configuration file",
        )
    estate = Estate(
        name, tuple(sorted(members, key=lambda member: (LAYERS.index(member.layer), member.stack)))
    )
    for layer in LAYERS:
        count = len(estate.in_layer(layer))
        # A platform that uses only Bedrock has no serving stack. `served_by` reports models without a stack.
        if layer != "serving" and count != 1:
            names = ", ".join(member.stack for member in estate.in_layer(layer)) or "none"
            raise InputError(
                f"estate {name} has {count} stacks of layer {layer}: {names}",
                where=estate.members[0].file,
                fix="Give the estate one foundation stack, one platform stack and, if it runs models, serving stacks",
            )
    return estate


def _raise_unknown_name(name: str, serving: Member, known_ids: list[str], hosted_ids: list[str]) -> None:
    hint = did_you_mean(name, [*SENSITIVITIES, *hosted_ids])
    problem = (
        f"{name} is on Bedrock, so no stack serves it"
        if name in known_ids
        else f"no class or endpoint is named `{name}`"
    )
    raise InputError(
        problem,
        where=f"{serving.file} (isthmus:serves)",
        fix=f"{hint} Endpoints that stacks serve: {', '.join(hosted_ids) or 'none'}".lstrip(),
    )
