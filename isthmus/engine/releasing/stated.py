"""What the platform states of a workload's release at each gateway, and how a person reaches the gateway's database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.canary.stops import CanaryName
from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.engine.stopping.stopping import gateways_of

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform
    from isthmus.contracts.platform.model.serving import AnswerJudge
    from isthmus.engine.project.project import Stack
    from isthmus.engine.stopping.access import Access


@dataclass(frozen=True)
class StatedRelease:
    """A workload's canary with steps at one gateway."""

    data_class: str
    site: str
    name: CanaryName
    endpoint: str
    """The candidate."""
    steps: tuple[float, ...]
    releasers: tuple[str, ...]
    """Public keys of those whose moves count."""
    judge: AnswerJudge | None = None
    """Who judges answers of the traffic; None: nobody."""
    two_people: bool = False
    """Whether another person approves each `start` and `next`: answers of high impact."""

    @property
    def place(self) -> tuple[str, str]:
        """Class and site."""
        return self.data_class, self.site

    @property
    def where(self) -> str:
        """For people: `internal at fra1`."""
        return f"{self.data_class} at {self.site}"


def stated_releases(platform: Platform, workload: str, site: str | None) -> list[StatedRelease]:
    """The releases of a workload, one for each gateway that has one. `site`: None takes all sites.

    Raises `InputError` for an unknown workload or site, and `Refused` if the workload has no canary with steps there.
    """
    gateways = gateways_of(platform, workload)
    sites = sorted({gateway.site for gateway in gateways})
    if site is not None and site not in sites:
        raise InputError(
            f"no gateway at `{site}` serves `{workload}`",
            where="--site",
            fix=f"Choose one of: {', '.join(sites)}",
        )
    chosen = [gateway for gateway in gateways if site in (None, gateway.site)]
    releases = [release for gateway in chosen if (release := _release(gateway, workload)) is not None]
    if releases:
        return releases
    has_canary = any(
        entry.name == workload and entry.canary is not None
        for gateway in chosen
        for entry in gateway.workloads
    )
    if has_canary:
        raise Refused(
            f"the canary of `{workload}` has no steps, so its share is `percent` of the platform",
            where=f"workloads[{workload}].canary",
            fix="Write `steps` in place of `percent`, and run `isthmus up` (docs/release.md)",
        )
    raise Refused(
        f"`{workload}` has no canary",
        where=f"workloads[{workload}].canary",
        fix="Add `canary: {endpoint: …, release: …, steps: […]}` to the overrides, and run `isthmus up`",
    )


def _release(gateway: Gateway, workload: str) -> StatedRelease | None:
    canary = next(entry.canary for entry in gateway.workloads if entry.name == workload)
    if canary is None or not canary.steps or canary.release is None:
        return None
    impact = next(entry.impact for entry in gateway.workloads if entry.name == workload)
    return StatedRelease(
        gateway.class_,
        gateway.site,
        CanaryName(workload, workload, canary.release),
        canary.endpoint,
        tuple(canary.steps),
        tuple(gateway.releasers),
        canary.judge,
        impact == "high",
    )


def database_file(stack: Stack, release: StatedRelease, access: Access) -> Path:
    """The person's own access to the database of a gateway. Raises `InputError` or `EnvironmentFault`."""
    if (file := access.databases.get(release.place)) is not None:
        return file
    raise _no_database(stack, release, access)


def _no_database(stack: Stack, release: StatedRelease, access: Access) -> IsthmusError:
    if stack.sandbox and not access.desks:
        return EnvironmentFault(
            "the gateway does not run here",
            where=release.where,
            fix=f"Run `isthmus sandbox serve {stack.name}` first",
        )
    if release.place in access.desks:
        return InputError(
            "the access file names a review service only, which moves no releases",
            where=release.where,
            fix="Add your own database user under `databases` (docs/release.md)",
        )
    return InputError(
        "nothing says how you reach its database",
        where=release.where,
        fix="Name a file with --access that has it under `databases` (docs/release.md)",
    )
