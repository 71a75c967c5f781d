"""Fills in the Helm chart of the GPU Operator, from the overrides or the image lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts import images_lock
from isthmus.contracts.images_lock import FILE
from isthmus.core.errors import InputError

GPU_OPERATOR = "gpu-operator"


def fill(platform: dict[str, Any], lock: Path, folder: Path, stack: str, *, sandbox: bool) -> dict[str, Any]:
    """The merged platform with the GPU Operator's chart, if the platform manages the operator; else unchanged.

    `folder`: the stacks folder; the path of a packed chart is relative to it. Raises `InputError` for a chart without
    a digest (a `sandbox` allows it), and for a packed chart with another digest.
    """
    operators = platform.get("operators")
    if not isinstance(operators, dict) or operators.get("gpu_operator") != "manage":
        return platform
    release = operators.get("gpu_operator_release") or {}
    if not isinstance(release, dict):
        return platform
    where = "operators.gpu_operator_release"
    chart, digest = release.get("chart"), release.get("digest")
    if isinstance(chart, str):
        if not digest and not sandbox:
            fix = "Set it to the digest of the chart's manifest in the registry, or of the packed file"
            raise InputError(f"the chart {chart} has no digest", where=f"{where}.digest", fix=fix)
        if not chart.startswith("oci://"):
            images_lock.check_packed(folder / chart, digest, f"{where}.chart")
        return platform
    registry = (platform.get("images") or {}).get("registry")
    if not isinstance(registry, str):
        raise InputError(
            "the platform manages the GPU Operator, but has no chart for it",
            where=f"{where}.chart",
            fix=f"Set `images.registry` to the mirror of the chart in {FILE}, or set a chart here",
        )
    lock_contents = images_lock.load(lock)
    locked = lock_contents.charts.get(GPU_OPERATOR)
    if locked is None:
        raise InputError(
            f"the lock has no chart {GPU_OPERATOR}",
            where=str(lock),
            fix=f"Add the chart to the lock, or set `{where}.chart`",
        )
    if locked.digest is None and not sandbox:
        raise images_lock.unresolved_error(
            {GPU_OPERATOR: f"{locked.repository} {locked.version}"}, lock, stack
        )
    mirrored = locked.in_mirror(GPU_OPERATOR, registry)
    release_in_mirror = {
        "chart": f"oci://{mirrored.registry}/{mirrored.name}",
        "version": locked.version,
        **({"digest": locked.digest} if locked.digest else {}),
    }
    return {**platform, "operators": {**operators, "gpu_operator_release": {**release_in_mirror, **release}}}
