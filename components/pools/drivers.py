"""The driver of a pool's machines, as an NVIDIADriver that selects them."""

from typing import Any

import pulumi

from components.base.argument_checks import one_of
from components.cluster.objects import GPU_TOLERATION, POOL_LABEL, custom, labels, metadata
from components.pools.arguments import DriverUpgrade, PoolDriver
from isthmus.core.errors import InputError

NVIDIA = "nvcr.io/nvidia"
MODULES = ("auto", "open", "proprietary")


def nvidia_driver(name: str, pool: str, driver: PoolDriver, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """The object for a pool. Another precompiled kind is another object: the API lets it not change."""
    precompiled = driver.get("precompiled", False)
    if precompiled == ("." in driver["version"]):
        kind = "precompiled drivers go by branch" if precompiled else "a branch has precompiled drivers only"
        raise InputError(
            f"{kind}, and pool '{pool}' names '{driver['version']}'",
            where=f"{pool}.driver.version",
            fix="Say e.g. 595 with `precompiled: true`, or 595.91.07 without",
        )
    module = one_of(driver.get("kernel_module", "auto"), MODULES, f"{pool}.driver.kernel_module")
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
    return custom(
        f"{name}-driver",
        "nvidia.com/v1alpha1",
        "NVIDIADriver",
        metadata(pool, labels(pool)),
        {"spec": spec},
        pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(replace_on_changes=["spec.usePrecompiled"], delete_before_replace=True),
        ),
    )


def upgrade_policy(upgrade: DriverUpgrade) -> dict[str, Any]:
    """As the API takes it."""
    drain, most = upgrade.get("drain", {}), upgrade.get("max_unavailable", "25%")
    return {
        "autoUpgrade": upgrade.get("auto", True),
        "maxParallelUpgrades": upgrade.get("max_parallel", 1),
        "maxUnavailable": int(most) if most.isdigit() else most,
        "drain": {
            "enable": drain.get("enable", False),
            "force": drain.get("force", False),
            "deleteEmptyDir": drain.get("delete_empty_dir", False),
            "timeoutSeconds": drain.get("timeout_seconds", 300),
        },
    }
