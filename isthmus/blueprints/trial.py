"""Builds the platform of a new plan with made-up settings, to find what `isthmus render` would refuse later.

`isthmus plan` and `isthmus init` call `render_faults` before anybody has written settings. It renders the blueprint and
applies the same rules as `assembly`, and names each fault by its place in the requirements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from isthmus.blueprints import (
    assembly,
    image_digests,
    missing_values,
    override_limits,
    rendering,
    requirement_places,
    retention,
    settings_template,
)
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.platform import overrides as merging
from isthmus.contracts.requirements.document import AwsSite, Requirements
from isthmus.contracts.requirements.sites import Link
from isthmus.core.errors import IsthmusError
from isthmus.core.validation_errors import Fault, find_faults
from isthmus.core.yaml_documents import Document, PathOf

SampleValues = Callable[[dict[str, Any]], settings_template.Answer]
"""Gives a source of made-up settings for a rendered platform (`sandbox.sample_settings.sample_value_source`)."""


def render_faults(
    requirements: Requirements,
    plan: Plan,
    sample_values: SampleValues,
    overrides: Mapping[str, Any] | None = None,
    catalogue: Path | None = None,
) -> list[Fault]:
    """What a later command would refuse, in the order of the requirements' lines; empty if nothing is.

    Args:
        requirements: the requirements; their document gives file and lines.
        plan: a feasible plan of them.
        sample_values: gives the values that only the organisation knows.
        overrides: settings of an existing stack. A fault that they mend is left out.
        catalogue: the folder of blueprints; default: the one of this checkout.
    """
    faults = _first_of_each(_faults(requirements, plan, sample_values, {}, catalogue))
    if faults and overrides:
        still = _first_of_each(_faults(requirements, plan, sample_values, overrides, catalogue))
        faults = {place: fault for place, fault in faults.items() if place in still}
    document = requirements.document
    located = [
        Fault(
            path,
            type(error)(error.what, where=document.where(path), fix=error.fix),
            document.line(path) or 0,
        )
        for (path, _), error in faults.items()
    ]
    return sorted(located, key=lambda fault: fault.line)


_Place = tuple[PathOf, str]
"""A path in the requirements, and what is wrong there if the path leads to no single value."""


def _first_of_each(faults: Iterator[tuple[_Place, IsthmusError]]) -> dict[_Place, IsthmusError]:
    first: dict[_Place, IsthmusError] = {}
    for place, error in faults:
        first.setdefault(place, error)
    return first


def _faults(
    requirements: Requirements,
    plan: Plan,
    sample_values: SampleValues,
    overrides: Mapping[str, Any],
    catalogue: Path | None,
) -> Iterator[tuple[_Place, IsthmusError]]:
    """Each fault by its place in the requirements.

    A network or a link that is missing hides other faults, and causes some. So the platform is built again with a
    made-up one, and the faults of that platform count in place of the first ones.
    """
    try:
        rendered = rendering.render(plan.blueprint, requirements, plan, catalogue)
    except IsthmusError as error:
        yield ((), error.what), error
        return
    platform = _with_samples(merging.merge(rendered, overrides), sample_values)
    repairs = _Repairs()
    others: list[tuple[_Place, IsthmusError]] = []
    for fault in _platform_faults(platform, requirements):
        path, is_exact = requirement_places.place(fault.path, platform, requirements)
        place = path, "" if is_exact else fault.error.what
        if repairs.add(fault.path, path, platform, requirements):
            yield place, fault.error
        else:
            others.append((place, fault.error))
    if repairs:
        yield from _faults(repairs.apply(requirements), plan, sample_values, overrides, catalogue)
    else:
        yield from others


class _Repairs:
    """Made-up networks and links in place of missing ones."""

    def __init__(self) -> None:
        self.sites: set[int] = set()
        self.links: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self.sites or self.links)

    def add(
        self, fault: PathOf, place: PathOf, platform: Mapping[str, Any], requirements: Requirements
    ) -> bool:
        """Note what would mend a fault. Returns whether something would."""
        missing_link = requirement_places.missing_link(fault, platform, requirements)
        if missing_link is not None:
            self.links.add(missing_link)
            return True
        if len(place) == 3 and (place[0], place[2]) == ("sites", "vpc_cidr") and isinstance(place[1], int):
            site = requirements.sites[place[1]]
            if isinstance(site, AwsSite) and site.vpc_cidr is None:
                self.sites.add(place[1])
                return True
        return False

    def apply(self, requirements: Requirements) -> Requirements:
        taken = [ip_network(text) for site in requirements.sites for _, text in site.networks()]
        sites = list(requirements.sites)
        for index in sorted(self.sites):
            free = next(
                block for block in _BLOCK.subnets(new_prefix=16) if not any(map(block.overlaps, taken))
            )
            taken.append(free)
            sites[index] = sites[index].model_copy(update={"vpc_cidr": str(free)})
        links = [
            Link.model_validate({"from": site, "to": aws_site, "kind": "vpn", "mbps": 1, "rtt_ms": 1})
            for site, aws_site in sorted(self.links)
        ]
        return requirements.model_copy(update={"sites": sites, "links": [*requirements.links, *links]})


_BLOCK = ip_network("10.0.0.0/8")


def _with_samples(merged: dict[str, Any], sample_values: SampleValues) -> dict[str, Any]:
    """The platform with a made-up value for each one that is missing. Images need no lock."""
    missing = missing_values.list_missing_values(merged)
    samples = settings_template.overrides_tree(missing, sample_values(merged))
    platform = merging.merge(merged, samples)
    images = platform.get("images") or {}
    registry = str(images.get("registry", "registry.example")).rstrip("/")
    named = {name: _sample_image(registry, name) for name in image_digests.needed_images(platform)}
    platform["images"] = {"registries": [f"{registry}/"], **named, **images}
    return assembly.with_kube_contexts(retention.fill(platform, sandbox=True))


def _sample_image(registry: str, name: str) -> str:
    return f"{registry}/{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def _platform_faults(platform: dict[str, Any], requirements: Requirements) -> list[Fault]:
    """What the rules of platforms refuse, with paths in the platform."""
    from pydantic import ValidationError

    from isthmus.contracts.platform.checked import CheckedPlatform

    try:
        checked = CheckedPlatform.model_validate(platform)
    except ValidationError as error:
        return find_faults(CheckedPlatform, Document(platform), error)
    try:
        override_limits.check(checked, requirements, "")
    except IsthmusError as error:
        return [Fault((), error, 0)]
    return []
