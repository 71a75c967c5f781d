"""Builds the validated platform of a stack from its requirements, plan, blueprint and overrides."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import (
    calibrations,
    desk_files,
    image_digests,
    missing_values,
    operator_charts,
    override_limits,
    prices,
    rendering,
    retention,
    team_budgets,
)
from isthmus.blueprints import catalogue as blueprint_catalogue
from isthmus.core import file_cache
from isthmus.core.errors import InputError, Where
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.requirements.document import Requirements

OVERRIDES = "isthmus:overrides"
_NAME_KEYS = {
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
"""The platform's lists, and the key that names an element of each in overrides."""


@dataclass(frozen=True)
class StackFiles:
    """The requirements and the plan of a stack. The plan matches the requirements."""

    stack: str
    folder: Path
    requirements: Requirements
    plan: Plan


def read(folder: Path, stack: str) -> StackFiles:
    """Read `STACK.requirements.yaml` and `STACK.plan.yaml` of a folder, and check the plan against the requirements.

    Raises `InputError` for an invalid file or a plan of other requirements, and `Refused` for a plan that breaks
    handling, residency or what a site allows.
    """
    from isthmus.contracts.plan import document as plans
    from isthmus.contracts.plan import rules as plan_rules
    from isthmus.contracts.requirements import document as wanted

    files = folder / f"{stack}.requirements.yaml", folder / f"{stack}.plan.yaml"

    def read_files() -> StackFiles:
        requirements, plan = wanted.load(files[0]), plans.load(files[1])
        plan_rules.check(plan, requirements)
        return StackFiles(stack, folder, requirements, plan)

    return file_cache.once("files", (stack, folder, file_cache.stamp(files)), read_files)


def assemble(
    files: StackFiles,
    overrides: dict[str, Any],
    catalogue: Path | None = None,
    *,
    sandbox: bool = False,
    lock: Path | None = None,
    overrides_file: str = "",
) -> Platform:
    """Render the plan's blueprint, apply the overrides and validate the platform.

    `lock`: the image lock; default: the one in the parent of the stacks folder. A `sandbox` accepts unresolved images.
    `overrides_file`: the name of the file with the overrides; default: the stack's configuration file.
    Raises `InputError` for an unknown blueprint, an invalid override, or missing overrides (one error lists them all).
    Raises `Refused` for an override that breaks a boundary.
    """
    lock_file = lock or files.folder.parent / image_digests.FILE
    named_files = [
        *calibrations.calibration_files(overrides, files.folder),
        *desk_files.paths(overrides, files.folder),
    ]
    stamp = file_cache.stamp(
        [*blueprint_catalogue.source_folders(catalogue), files.folder, lock_file, *named_files]
    )
    return file_cache.once(
        "platform",
        # The caller may change its own mapping later.
        (files, copy.deepcopy(overrides), catalogue, sandbox, lock_file, overrides_file, stamp),
        lambda: _assemble(
            files, overrides, catalogue, sandbox=sandbox, lock_file=lock_file, overrides_file=overrides_file
        ),
    )


def _assemble(
    files: StackFiles,
    overrides: dict[str, Any],
    catalogue: Path | None,
    *,
    sandbox: bool,
    lock_file: Path,
    overrides_file: str,
) -> Platform:
    from isthmus.contracts.platform import overrides as merging

    file = f"{files.folder.name}/{overrides_file or f'Pulumi.{files.stack}.yaml'}"
    merging.check(overrides, OVERRIDES, file)
    rendered = rendering.render(files.plan.blueprint, files.requirements, files.plan, catalogue)
    _check_part_names(rendered, overrides, file)
    merged = merging.merge(rendered, overrides)
    merged = team_budgets.drop_covered(merged)
    merged = prices.fill(merged, overrides, files.plan)
    merged = image_digests.fill(merged, lock_file, files.stack, sandbox=sandbox)
    merged = operator_charts.fill(merged, lock_file, files.folder, files.stack, sandbox=sandbox)
    merged = retention.fill(merged, sandbox=sandbox)
    merged = calibrations.fill(merged, files.folder, file)
    merged = desk_files.fill(merged, files.folder, file)
    merged = with_kube_contexts(merged) if sandbox else merged
    missing_values.require(merged, str(Where(file, None, OVERRIDES)))
    platform = merging.validate(merged, f"{files.plan.blueprint} with the overrides of {file}")
    override_limits.check(platform, files.requirements, file)
    if not sandbox:
        retention.check(platform, file)
    return platform


def with_kube_contexts(merged: dict[str, Any]) -> dict[str, Any]:
    """Give each AWS site with a cluster a kube context. The sandbox runs no EKS; it has one cluster for each site."""
    cluster_sites = {
        cluster.get("site") for cluster in merged.get("clusters") or [] if isinstance(cluster, dict)
    }
    return {
        **merged,
        "sites": [
            {**site, "kube_context": site.get("kube_context") or site["name"]}
            if isinstance(site, dict) and site.get("name") in cluster_sites
            else site
            for site in merged.get("sites", [])
        ],
    }


def _check_part_names(rendered: dict[str, Any], overrides: dict[str, Any], file: str) -> None:
    """Raise `InputError` for an override that changes a part that the platform does not have."""
    for key, name_key in _NAME_KEYS.items():
        known_names = [part[name_key] for part in rendered.get(key, [])]
        for part in overrides.get(key) or []:
            name = part.get(name_key)
            # An override with this key adds a part. Without it, it changes an existing part, so the name is wrong.
            required_key = {"sites": "kind", "links": "from"}.get(key, "site")
            if name in known_names or required_key in part:
                continue
            hint = did_you_mean(name, known_names)
            raise InputError(
                f"the platform has no `{name}` among its {key}",
                where=Where(file, None, f"{OVERRIDES}.{key}[{name}]"),
                fix=f"{hint} It has: {', '.join(known_names) or 'none'}".strip(),
            )


def platform(
    folder: Path,
    stack: str,
    overrides: dict[str, Any],
    *,
    sandbox: bool = False,
    lock: Path | None = None,
    overrides_file: str = "",
) -> Platform:
    """The validated platform of a stack or an estate: `read`, then `assemble`."""
    return assemble(read(folder, stack), overrides, sandbox=sandbox, lock=lock, overrides_file=overrides_file)
