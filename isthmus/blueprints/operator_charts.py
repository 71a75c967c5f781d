"""The chart of an operator that the platform manages: given, or the lock's from the organisation's registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts import images_lock
from isthmus.contracts.images_lock import FILE
from isthmus.core.errors import InputError

GPU_OPERATOR = "gpu-operator"


def fill(platform: dict[str, Any], lock: Path, folder: Path, stack: str, *, sandbox: bool) -> dict[str, Any]:
    """A merged platform with the GPU Operator's chart named, where it is managed; else unchanged.

    `folder`: the stacks' own, from which the path of a packed chart is read. Raises for a chart without a digest (in a
    `sandbox` it may), and for a file that is not the one pinned.
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
            fix = "Name it: of the manifest in the registry, or of the file"
            raise InputError(f"the chart {chart} has no digest", where=f"{where}.digest", fix=fix)
        if not chart.startswith("oci://"):
            images_lock.check_packed(folder / chart, digest, f"{where}.chart")
        return platform
    registry = (platform.get("images") or {}).get("registry")
    if not isinstance(registry, str):
        raise InputError(
            "the GPU Operator is managed, and its chart comes from nowhere",
            where=f"{where}.chart",
            fix=f"Name `images.registry`, where the chart of {FILE} is mirrored, or a chart here",
        )
    read = images_lock.load(lock)
    locked = read.charts.get(GPU_OPERATOR)
    if locked is None:
        raise InputError(f"there is no chart {GPU_OPERATOR}", where=str(lock), fix="Lock it, or name a chart")
    if locked.digest is None and not sandbox:
        raise images_lock.unresolved_error(
            {GPU_OPERATOR: f"{locked.repository} {locked.version}"}, lock, stack
        )
    mirrored = locked.in_mirror(GPU_OPERATOR, registry)
    found = {
        "chart": f"oci://{mirrored.registry}/{mirrored.name}",
        "version": locked.version,
        **({"digest": locked.digest} if locked.digest else {}),
    }
    return {**platform, "operators": {**operators, "gpu_operator_release": {**found, **release}}}
