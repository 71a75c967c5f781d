"""From a stack's files to its validated platform: requirements and plan, blueprint, overrides, checks."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import (
    calibrations,
    image_digests,
    missing_values,
    operator_charts,
    override_limits,
    rendering,
    retention,
)
from isthmus.blueprints import catalogue as shelf
from isthmus.core import file_cache
from isthmus.core.errors import InputError, Where
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.requirements.document import Requirements

OVERRIDES = "isthmus:overrides"
_PARTS = {
    "sites": "name",
    "clusters": "name",
    "pools": "name",
    "endpoints": "id",
    "gateways": "name",
    "identities": "name",
    "audit": "name",
    "networks": "name",
    "links": "name",
    "trust": "name",
    "guardrails": "name",
    "invocation_logging": "name",
    "trails": "name",
    "budgets": "name",
}
"""The platform's lists of parts, and the key by which overrides address each."""


@dataclass(frozen=True)
class StackFiles:
    """A stack's two files, read and found to agree."""

    stack: str
    folder: Path
    requirements: Requirements
    plan: Plan


def read(folder: Path, stack: str) -> StackFiles:
    """Read `STACK.requirements.yaml` and `STACK.plan.yaml` of a folder and hold the plan to the requirements.

    Raises `InputError` for what is not understood or made from other requirements, `Refused` for a
    plan that breaks handling, residency or what a site allows.
    """
    from isthmus.contracts.plan import document as plans
    from isthmus.contracts.plan import rules as plan_rules
    from isthmus.contracts.requirements import document as wanted

    files = folder / f"{stack}.requirements.yaml", folder / f"{stack}.plan.yaml"

    def made() -> StackFiles:
        requirements, plan = wanted.load(files[0]), plans.load(files[1])
        plan_rules.check(plan, requirements)
        return StackFiles(stack, folder, requirements, plan)

    return file_cache.once("files", (stack, folder, file_cache.stamp(files)), made)


def assemble(
    files: StackFiles,
    overrides: dict[str, Any],
    catalogue: Path | None = None,
    *,
    sandbox: bool = False,
    lock: Path | None = None,
    said_in: str = "",
) -> Platform:
    """Render the plan's blueprint, lay the overrides over it and validate what comes out.

    `lock`: of the images; default: in the folder above the stacks'. In a `sandbox` none of it need be resolved.
    `said_in`: the name of the file with the overrides; default: the stack's configuration.
    Raises `InputError` for an unknown blueprint, a wrong override or missing ones (all named at once), and
    `Refused` where an override breaks a boundary.
    """
    lock_file = lock or files.folder.parent / image_digests.FILE
    scored = calibrations.named(overrides, files.folder)
    made_of = file_cache.stamp([*shelf.places(catalogue), files.folder, lock_file, *scored])
    return file_cache.once(
        "platform",
        # The caller may change its own mapping later.
        (files, copy.deepcopy(overrides), catalogue, sandbox, lock_file, said_in, made_of),
        lambda: _assembled(
            files, overrides, catalogue, sandbox=sandbox, lock_file=lock_file, said_in=said_in
        ),
    )


def _assembled(
    files: StackFiles,
    overrides: dict[str, Any],
    catalogue: Path | None,
    *,
    sandbox: bool,
    lock_file: Path,
    said_in: str,
) -> Platform:
    from isthmus.contracts.platform import overrides as laying

    file = f"{files.folder.name}/{said_in or f'Pulumi.{files.stack}.yaml'}"
    laying.check(overrides, OVERRIDES, file)
    rendered = rendering.render(files.plan.blueprint, files.requirements, files.plan, catalogue)
    _names(rendered, overrides, file)
    merged = laying.merge(rendered, overrides)
    merged = image_digests.fill(merged, lock_file, files.stack, sandbox=sandbox)
    merged = operator_charts.fill(merged, lock_file, files.folder, files.stack, sandbox=sandbox)
    merged = retention.fill(merged, sandbox=sandbox)
    merged = calibrations.fill(merged, files.folder, file)
    merged = _reached(merged) if sandbox else merged
    missing_values.require(merged, str(Where(file, None, OVERRIDES)))
    platform = laying.validate(merged, f"{files.plan.blueprint} with the overrides of {file}")
    override_limits.check(platform, files.requirements, file)
    if not sandbox:
        retention.check(platform, file)
    return platform


def _reached(merged: dict[str, Any]) -> dict[str, Any]:
    """In the sandbox a cluster stands for each AWS site's own, by a context of the site's name: EKS runs nowhere."""
    there = {each.get("site") for each in merged.get("clusters") or [] if isinstance(each, dict)}
    return {
        **merged,
        "sites": [
            {**site, "kube_context": site.get("kube_context") or site["name"]}
            if isinstance(site, dict) and site.get("name") in there
            else site
            for site in merged.get("sites", [])
        ],
    }


def _names(rendered: dict[str, Any], overrides: dict[str, Any], file: str) -> None:
    """An override that names no part of the platform and is no whole part itself was meant for another."""
    for key, own in _PARTS.items():
        known = [part[own] for part in rendered.get(key, [])]
        for part in overrides.get(key) or []:
            name = part.get(own)
            # A whole part says where it stands; what does not was meant for one that there is.
            whole = {"sites": "kind", "links": "from"}.get(key, "site")
            if name in known or whole in part:
                continue
            hint = did_you_mean(name, known)
            raise InputError(
                f"the platform has no `{name}` among its {key}",
                where=Where(file, None, f"{OVERRIDES}.{key}[{name}]"),
                fix=f"{hint} It has: {', '.join(known) or 'none'}".strip(),
            )


def platform(
    folder: Path,
    stack: str,
    overrides: dict[str, Any],
    *,
    sandbox: bool = False,
    lock: Path | None = None,
    said_in: str = "",
) -> Platform:
    """The validated platform of a stack, or of an estate by its name: `read` and `assemble` in one."""
    return assemble(read(folder, stack), overrides, sandbox=sandbox, lock=lock, said_in=said_in)
