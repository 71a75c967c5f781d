"""Builds the NVIDIADriver object of a pool's machines."""

from typing import Any

import pulumi

from components.base.argument_checks import check_choice
from components.cluster.objects import GPU_TOLERATION, POOL_LABEL, common_labels, custom_resource, metadata
from components.pools.arguments import DriverUpgrade, PoolDriver
from isthmus.core.errors import InputError

NVIDIA = "nvcr.io/nvidia"
MODULES = ("auto", "open", "proprietary")


def nvidia_driver(name: str, pool: str, driver: PoolDriver, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Create the NVIDIADriver of a pool. A change of `precompiled` replaces it: the field is immutable."""
    precompiled = driver.get("precompiled", False)
    if precompiled == ("." in driver["version"]):
        kind = (
            "a precompiled driver is selected by branch"
            if precompiled
            else "a branch selects precompiled drivers only"
        )
        raise InputError(
            f"pool '{pool}' has driver version '{driver['version']}', but {kind}",
            where=f"{pool}.driver.version",
            fix="Set e.g. 595 with `precompiled: true`, or 595.91.07 without it",
        )
    module = check_choice(driver.get("kernel_module", "auto"), MODULES, f"{pool}.driver.kernel_module")
    spec: dict[str, Any] = {
        "driverType": "gpu",
        "repository": driver.get("repository", NVIDIA),
        "image": "driver",
        "version": driver["version"],
        "usePrecompiled": precompiled,
        "kernelModuleType": module,
        "nodeSelector": {POOL_LABEL: pool},
        "tolerations": [GPU_TOLERATION],
        "upgradePolicy": upgrade_policy(driver.get("upgrade", {})),
    }
    return custom_resource(
        f"{name}-driver",
        "nvidia.com/v1alpha1",
        "NVIDIADriver",
        metadata(pool, common_labels(pool)),
        {"spec": spec},
        pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(replace_on_changes=["spec.usePrecompiled"], delete_before_replace=True),
        ),
    )


def upgrade_policy(upgrade: DriverUpgrade) -> dict[str, Any]:
    """The field `upgradePolicy` of an NVIDIADriver."""
    drain, max_unavailable = upgrade.get("drain", {}), upgrade.get("max_unavailable", "25%")
    return {
        "autoUpgrade": upgrade.get("auto", True),
        "maxParallelUpgrades": upgrade.get("max_parallel", 1),
        "maxUnavailable": int(max_unavailable) if max_unavailable.isdigit() else max_unavailable,
        "drain": {
            "enable": drain.get("enable", False),
            "force": drain.get("force", False),
            "deleteEmptyDir": drain.get("delete_empty_dir", False),
            "timeoutSeconds": drain.get("timeout_seconds", 300),
        },
    }
