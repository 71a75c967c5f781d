"""Estates: stacks that build one platform together, a layer each, as their configuration files say.

`isthmus:of` names the estate, whose files (`ESTATE.requirements.yaml`, `ESTATE.plan.yaml`, `ESTATE.overrides.yaml`)
its stacks share; `isthmus:layer` says what a stack builds of it, `isthmus:serves` which models.
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
_ALL: tuple[Layer, ...] = ("all", *LAYERS)


@dataclass(frozen=True)
class Member:
    """A stack of an estate."""

    stack: str
    estate: str
    layer: Layer
    serves: tuple[str, ...] | None = None
    """Classes and endpoints' ids; None: every model."""

    @property
    def file(self) -> str:
        return f"stacks/Pulumi.{self.stack}.yaml"


@dataclass(frozen=True)
class Estate:
    """The stacks that build one platform, from the lowest layer to the highest."""

    name: str
    members: tuple[Member, ...]

    def member(self, stack: str) -> Member:
        return next(each for each in self.members if each.stack == stack)

    def of(self, layer: Layer) -> list[Member]:
        return [each for each in self.members if each.layer == layer]

    def below(self, member: Member) -> list[Member]:
        """The stacks from which it takes something."""
        return [each for layer in LAYERS_BELOW[member.layer] for each in self.of(layer)]

    def above(self, member: Member) -> list[Member]:
        """The stacks that take something from it."""
        return [each for each in self.members if member in self.below(each)]

    def served_by(self, platform: Platform, member: Member) -> frozenset[str]:
        """Ids of the endpoints whose models a stack runs. Every one has exactly one stack, or `InputError`."""
        runs = [each for each in platform.endpoints if each.target in HOSTED_TARGETS]
        owners: dict[str, list[Member]] = {each.id: [] for each in runs}
        for one in self.of("serving"):
            known = [each.id for each in platform.endpoints]
            for word in one.serves or ():
                if word not in (*SENSITIVITIES, *owners):
                    _no_such(word, one, known, list(owners))
            for each in runs:
                if one.serves is None or each.class_ in one.serves or each.id in one.serves:
                    owners[each.id].append(one)
        for id_, found in owners.items():
            if len(found) != 1:
                stacks = " and ".join(each.stack for each in found) or "no stack"
                raise InputError(
                    f"endpoint {id_} is served by {stacks} of estate {self.name}",
                    where=f"{(found or self.of('serving') or self.members)[0].file} (isthmus:serves)",
                    fix="Let exactly one serving stack name it, or its class",
                )
        self._claims(platform, owners)
        return frozenset(id_ for id_, found in owners.items() if found == [member])

    def _claims(self, platform: Platform, owners: dict[str, list[Member]]) -> None:
        """A claim on weights is made by one stack: two that read it would each delete what the other needs."""
        from isthmus.contracts.platform.lookups.serving import claim_of

        readers: dict[tuple[str, str, str], Member] = {}
        for each in platform.endpoints:
            claim = claim_of(each)
            if each.id not in owners or claim is None or not (each.weights and each.weights.volume):
                continue
            (owner,) = owners[each.id]
            first = readers.setdefault((each.site, each.class_, claim), owner)
            if first != owner:
                raise InputError(
                    f"{first.stack} and {owner.stack} both claim {claim} of class {each.class_} at {each.site}",
                    where=f"{owner.file} (isthmus:serves)",
                    fix="Let one stack serve every endpoint of a class that reads the same claim",
                )


def member(config: Mapping[str, Any], stack: str, project: str = "isthmus") -> Member | None:
    """What a stack's configuration says of layers; None: it owns all. `config` has whole keys."""
    where = f"stacks/Pulumi.{stack}.yaml"
    layer, of, serves = (config.get(f"{project}:{each}") for each in SETTINGS)
    if layer is not None and layer not in _ALL:
        raise InputError(
            f"there is no layer `{layer}`",
            where=f"{where} ({project}:layer)",
            fix=f"{did_you_mean(layer, _ALL)} The layers are: {', '.join(_ALL)}".lstrip(),
        )
    if layer in (None, "all"):
        for name, value in (("of", of), ("serves", serves)):
            if value is not None:
                raise InputError(
                    f"`{project}:{name}` is said of a stack that owns all of its platform",
                    where=f"{where} ({project}:{name})",
                    fix=f"Say which `{project}:layer` it is, or take this out",
                )
        return None
    if not isinstance(of, str) or not of:
        raise InputError(
            f"layer `{layer}` of no estate",
            where=f"{where} ({project}:of)",
            fix=f"Name the estate whose files the layers share, e.g. `{project}:of: bank`",
        )
    if f"{project}:overrides" in config:
        raise InputError(
            "the layers of an estate share their overrides, and this one has its own",
            where=f"{where} ({project}:overrides)",
            fix=f"Move them to stacks/{of}{OVERRIDES}",
        )
    if serves is not None and layer != "serving":
        raise InputError(
            f"layer `{layer}` serves no model", where=f"{where} ({project}:serves)", fix="Take this out"
        )
    if serves is not None and (
        not isinstance(serves, list) or not serves or not all(isinstance(each, str) for each in serves)
    ):
        raise InputError(
            "not a list of classes and endpoints' ids",
            where=f"{where} ({project}:serves)",
            fix="Write e.g. `[restricted, internal-qwen3-8b]`, or take it out where one stack serves all",
        )
    return Member(stack, of, cast("Layer", layer), None if serves is None else tuple(serves))


def estates(folder: Path, project: str = "isthmus") -> dict[str, Estate]:
    """Every estate of a folder of stacks, by name. `InputError` for one that is not whole."""
    files = sorted(folder.glob("Pulumi.*.yaml"))
    # Each stack of an estate asks for it, and it stands in the files of all of them.
    return file_cache.once("estates", (project, file_cache.stamp(files)), lambda: _read(files, project))


def _read(files: Sequence[Path], project: str) -> dict[str, Estate]:
    from isthmus.core import yaml_files

    found: dict[str, list[Member]] = {}
    stacks = {file.name[len("Pulumi.") : -len(".yaml")]: file for file in files}
    for stack, file in sorted(stacks.items()):
        said = yaml_files.load(file).data.get("config") or {}
        if not isinstance(said, dict):
            continue
        whole = {key if ":" in key else f"{project}:{key}": value for key, value in said.items()}
        if (one := member(whole, stack, project)) is not None:
            found.setdefault(one.estate, []).append(one)
    return {name: _whole(name, members, stacks) for name, members in found.items()}


def overrides(folder: Path, estate: str) -> dict[str, Any]:
    """What `ESTATE.overrides.yaml` says; nothing where there is no such file."""
    from isthmus.core import yaml_files

    file = folder / f"{estate}{OVERRIDES}"
    return yaml_files.load(file).data if file.is_file() else {}


def _whole(name: str, members: list[Member], stacks: Mapping[str, Path]) -> Estate:
    if name in stacks:
        raise InputError(
            f"`{name}` is a stack and an estate, which would both build the same platform",
            where=f"{members[0].file} (isthmus:of)",
            fix="Give the estate's files another name, or take the stack's configuration away",
        )
    estate = Estate(name, tuple(sorted(members, key=lambda each: (LAYERS.index(each.layer), each.stack))))
    for layer in LAYERS:
        count = len(estate.of(layer))
        # Where all is called on Bedrock there is nothing to serve; a model without a stack is told of by `served_by`.
        if layer != "serving" and count != 1:
            names = ", ".join(each.stack for each in estate.of(layer)) or "none"
            raise InputError(
                f"estate {name} has {count} stacks of layer {layer}: {names}",
                where=estate.members[0].file,
                fix="An estate has one foundation, one platform and, for models that it runs itself, serving stacks",
            )
    return estate


def _no_such(word: str, one: Member, known: list[str], owned: list[str]) -> None:
    hint = did_you_mean(word, [*SENSITIVITIES, *owned])
    what = (
        f"the model of {word} runs nowhere of ours: it is called on Bedrock"
        if word in known
        else f"there is no class and no endpoint `{word}`"
    )
    raise InputError(
        what,
        where=f"{one.file} (isthmus:serves)",
        fix=f"{hint} There are: {', '.join(owned) or 'none'}".lstrip(),
    )
