"""Installs NVIDIA's GPU Operator with Helm: one pinned chart, with the values that the pools need.

It is a `Release` (Helm's own install), not a `Chart` (its templates as resources). The chart upgrades its
definitions and cleans up in hooks, which only Helm runs. Rollbacks and `helm list` work as usual.
"""

from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_choice
from components.cluster.objects import common_labels, metadata
from components.pools.device_plugin import WHOLE
from components.pools.drivers import NVIDIA
from isthmus.contracts.images_lock import check_packed
from isthmus.core.errors import InputError

RELEASE = "gpu-operator"
_REPOSITORY = "oci://"


class GpuOperatorArgs(TypedDict):
    """The GPU Operator of a cluster."""

    chart: str
    """`oci://REGISTRY/PATH`, or the path of a packaged chart."""
    version: NotRequired[str]
    """Version of the chart. Required for a chart in a registry."""
    digest: NotRequired[str]
    """`sha256:…` of the chart in its registry, by which Helm fetches it, or of the file."""
    namespace: NotRequired[str]
    """Its namespace (default gpu-operator). It is created here and admits privileged pods, which load drivers."""
    driver: NotRequired[str]
    """`managed` (default): it installs drivers. `host`: the nodes have their own."""
    driver_version: NotRequired[str]
    """Driver version of all nodes, unless `nvidia_drivers` is set. Absent: the chart's."""
    nvidia_drivers: NotRequired[bool]
    """Whether NVIDIADriver objects, one for each pool, replace the ClusterPolicy's driver."""
    mig_layouts: NotRequired[str]
    """ConfigMap with MIG manager's layouts. Absent: its own."""
    device_plugin_configs: NotRequired[str]
    """ConfigMap with the device plugin's configurations. Absent: none."""
    taints: NotRequired[bool]
    """Whether Node Feature Discovery may taint nodes. Needed for pools without `node_names`."""
    values: NotRequired[dict[str, Any]]
    """Further values of the chart. They override the values that are set here."""
    timeout_seconds: NotRequired[int]
    """Seconds until its pods must be ready (default 600). After that an update is rolled back."""


class GpuOperator(pulumi.ComponentResource):
    """The GPU Operator as a Helm release: drivers, device plugin, GPU and node feature discovery."""

    namespace: pulumi.Output[str]
    """Its namespace."""
    version: pulumi.Output[str]
    """Version of the installed chart, from Helm."""

    def __init__(self, name: str, args: GpuOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:GpuOperator", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import Namespace
        from pulumi_kubernetes.helm.v3 import Release

        check_choice(args.get("driver", "managed"), ("managed", "host"), f"{name}.driver")
        if args.get("driver") == "host" and (args.get("driver_version") or args.get("nvidia_drivers")):
            message = "driver is `host`, but driver_version or nvidia_drivers is set too"
            raise InputError(
                message,
                where=f"{name}.driver",
                fix="Set driver to `managed`, or remove driver_version and nvidia_drivers",
            )
        namespace, version = args.get("namespace", RELEASE), args.get("version")
        chart = _chart(args, name)
        namespace_object = Namespace(
            f"{name}-namespace",
            metadata=metadata(
                namespace,
                {**common_labels(namespace), "pod-security.kubernetes.io/enforce": "privileged"},
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        release = Release(
            f"{name}-release",
            name=RELEASE,
            namespace=namespace,
            chart=chart,
            version=version,
            values=merge_values(chart_values(args), args.get("values", {})),
            # A failed update is rolled back; a failed install is removed.
            atomic=True,
            cleanup_on_fail=True,
            max_history=5,
            timeout=args.get("timeout_seconds", 600),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace_object]),
        )
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.version = release.status.apply(lambda status: str((status and status.version) or version or ""))
        self.register_outputs({"namespace": self.namespace, "version": self.version})


def chart_values(args: GpuOperatorArgs) -> dict[str, Any]:
    """The values of the chart, with the keys of its values.yaml."""
    driver: dict[str, Any] = {"enabled": args.get("driver", "managed") == "managed"}
    if args.get("nvidia_drivers"):
        driver["nvidiaDriverCRD"] = {"enabled": True, "deployDefaultCR": False}
    elif version := args.get("driver_version"):
        driver |= {"repository": NVIDIA, "version": version}
    settings: dict[str, Any] = {
        "nfd": {"enabled": True},
        "cdi": {"enabled": True},
        # MIG slices have their own resource names. Whole GPUs keep theirs.
        "mig": {"strategy": "mixed"},
        "driver": driver,
        # Definitions of an earlier release would refuse the objects of this one.
        "operator": {"upgradeCRD": True, "cleanupCRD": False},
    }
    if configs := args.get("device_plugin_configs"):
        settings["devicePlugin"] = {"config": {"name": configs, "default": WHOLE}}
    if layouts := args.get("mig_layouts"):
        settings["migManager"] = {"config": {"name": layouts, "default": "all-disabled"}}
    if args.get("taints"):
        settings["node-feature-discovery"] = {"master": {"config": {"enableTaints": True}}}
    return settings


def merge_values(defaults: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Merge values as Helm does: maps key by key, everything else as a whole."""
    merged = dict(defaults)
    for key, value in overrides.items():
        default = merged.get(key)
        merged[key] = (
            merge_values(default, value) if isinstance(default, dict) and isinstance(value, dict) else value
        )
    return merged


def _chart(args: GpuOperatorArgs, where: str) -> str:
    """The chart's reference for Helm. Raises `InputError` if it is not pinned or does not match its digest."""
    chart, digest = args["chart"], args.get("digest")
    if chart.startswith(_REPOSITORY):
        if not args.get("version"):
            fix = "Set the chart's version and digest"
            raise InputError(
                f"the chart {chart} has no version, so Helm would install the newest one",
                where=f"{where}.version",
                fix=fix,
            )
        return f"{chart}@{digest}" if digest else chart
    if digest is not None:
        check_packed(Path(chart), digest, f"{where}.chart")
    return chart
