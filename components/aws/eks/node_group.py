"""The component EksNodeGroup: a managed node group in each zone, labelled and tainted at creation."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import logical_name
from components.aws.eks.cluster import create_addon
from components.base.argument_checks import check_choice
from components.cluster.objects import GPU_TAINT, POOL_LABEL
from isthmus.core.errors import InputError

PURCHASES = ("on-demand", "spot", "capacity-reservation", "capacity-block")
_CAPACITY = {"spot": "SPOT", "capacity-block": "CAPACITY_BLOCK"}
"""EKS' names of purchase options. A capacity reservation is reserved on-demand capacity."""
MAX_NAME = 63
"""Maximum length of a node group's name (a limit of pulumi-aws)."""
SYSTEM_AMI = "AL2023_x86_64_STANDARD"
LATER_ADDONS = ("coredns", "aws-ebs-csi-driver", "aws-efs-csi-driver")
"""Addons that are healthy only when their pods have nodes."""


class EksNodeGroupArgs(TypedDict):
    """The nodes of a pool in AWS."""

    name: str
    """Name of the pool, which is the value of its nodes' label. Nodes without GPUs: `system`."""
    cluster: pulumi.Input[str]
    """Name of the cluster in EKS."""
    node_role: pulumi.Input[str]
    """ARN of the nodes' role."""
    kms_key: pulumi.Input[str]
    """ARN of the key of their volumes."""
    subnets: dict[str, pulumi.Input[str]]
    """Id of a private subnet by zone. Each has a node group."""
    nodes: dict[str, int]
    """Number of nodes by zone."""
    instance_type: str
    """EC2 instance type."""
    purchase: NotRequired[str]
    """`on-demand` (default), `spot`, `capacity-reservation` or `capacity-block`."""
    reservation: NotRequired[str]
    """Id of the capacity reservation or block."""
    ami_type: NotRequired[str]
    """Machine image, by EKS' name (default AL2023_x86_64_STANDARD, which has no GPU driver)."""
    release_version: NotRequired[str]
    """Release of the image. Absent: the newest at creation."""
    min_nodes: NotRequired[dict[str, int]]
    """Minimum by zone. Absent: `nodes`. An autoscaler decides if it is below `max_nodes`."""
    max_nodes: NotRequired[dict[str, int]]
    """Maximum by zone. Absent: `nodes`."""
    volume_gib: NotRequired[int]
    """Size of each node's root volume in GiB (default 100)."""
    gpu: NotRequired[bool]
    """Whether they have GPUs. They are then labelled for the pool, and tainted against other pods."""
    addons: NotRequired[dict[str, str]]
    """Addons to install when the nodes exist, and their versions (empty: AWS's default)."""
    addon_roles: NotRequired[dict[str, pulumi.Input[str]]]
    """ARN of the role of each addon's pods."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources, including instances and volumes."""


class EksNodeGroup(pulumi.ComponentResource):
    """A launch template, and a managed node group for each zone.

    A single group over several zones could start all nodes in one of them, so a replica would lack its second zone.
    """

    group_names: pulumi.Output[list[str]]
    """Names of the node groups, in the order of their zones."""
    launch_template: pulumi.Output[str]
    """Id of the launch template."""

    def __init__(self, name: str, args: EksNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:EksNodeGroup", name, dict(args), opts)
        where = f"pools.{args['name']}"
        purchase = check_choice(args.get("purchase", "on-demand"), PURCHASES, f"{where}.purchase")
        _check(args, purchase, where)
        tags = {**args.get("tags", {}), "isthmus.dev/pool": args["name"]}
        template = self._template(name, args, purchase, tags)
        groups = [self._create_group(name, args, zone, purchase, template, tags) for zone in args["subnets"]]
        self._create_addons(name, args, groups, tags)
        self.group_names = pulumi.Output.all(*[group.node_group_name for group in groups])
        self.launch_template = template.id
        self.register_outputs({"group_names": self.group_names, "launch_template": self.launch_template})

    def _create_group(
        self, name: str, args: EksNodeGroupArgs, zone: str, purchase: str, template: Any, tags: dict[str, str]
    ) -> Any:
        """Create the node group of one zone."""
        from pulumi_aws.eks import NodeGroup

        desired = args["nodes"][zone]
        min_nodes = args.get("min_nodes", {}).get(zone, desired)
        max_nodes = args.get("max_nodes", {}).get(zone, desired)
        is_scaled = min_nodes != max_nodes
        size: Any = {"min_size": min_nodes, "desired_size": desired, "max_size": max_nodes}
        one_at_a_time: Any = {"max_unavailable": 1}
        version: Any = {"id": template.id, "version": template.latest_version.apply(str)}
        return NodeGroup(
            logical_name(f"{name}-{zone}", MAX_NAME),
            cluster_name=args["cluster"],
            node_role_arn=args["node_role"],
            subnet_ids=[args["subnets"][zone]],
            ami_type=args.get("ami_type", SYSTEM_AMI),
            capacity_type=_CAPACITY.get(purchase, "ON_DEMAND"),
            launch_template=version,
            scaling_config=size,
            update_config=one_at_a_time,
            release_version=args.get("release_version"),
            tags=tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Do not undo the autoscaler's choice at each `up`.
                ignore_changes=["scalingConfig.desiredSize"] if is_scaled else [],
                # A node with eight GPUs starts slowly, and drains before it is removed.
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="120m", delete="60m"),
            ),
            **_gpu_settings(args),
        )

    def _create_addons(
        self, name: str, args: EksNodeGroupArgs, groups: list[Any], tags: dict[str, str]
    ) -> None:
        """Install addons when the nodes exist."""
        for addon_name, version in args.get("addons", {}).items():
            role = args.get("addon_roles", {}).get(addon_name)
            settings: dict[str, Any] = {}
            if role is not None:
                association = {"role_arn": role, "service_account": "ebs-csi-controller-sa"}
                settings["pod_identity_associations"] = [association]
            versions = {addon_name: version} if version else {}
            create_addon(
                f"{name}-{addon_name}",
                addon_name,
                args["cluster"],
                versions,
                tags,
                self,
                list(groups),
                **settings,
            )

    def _template(self, name: str, args: EksNodeGroupArgs, purchase: str, tags: dict[str, str]) -> Any:
        from pulumi_aws.ec2 import LaunchTemplate

        # One hop, so that pods, which are one hop further, cannot get the node's credentials.
        metadata: Any = {
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "instance_metadata_tags": "disabled",
        }
        volume: Any = {
            "device_name": "/dev/xvdb"
            if args.get("ami_type", "").startswith("BOTTLEROCKET")
            else "/dev/xvda",
            "ebs": {
                "volume_size": args.get("volume_gib", 100),
                "volume_type": "gp3",
                "encrypted": "true",
                "kms_key_id": args["kms_key"],
                "delete_on_termination": "true",
            },
        }
        launch_options: dict[str, Any] = {}
        if "reservation" in args:
            target = {"capacity_reservation_id": args["reservation"]}
            launch_options["capacity_reservation_specification"] = {"capacity_reservation_target": target}
        if purchase == "capacity-block":
            launch_options["instance_market_options"] = {"market_type": "capacity-block"}
        tag_specifications: Any = [{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")]
        return LaunchTemplate(
            f"{name}-template",
            description=f"Machines of {name}",
            instance_type=args["instance_type"],
            update_default_version=True,
            metadata_options=metadata,
            block_device_mappings=[volume],
            tag_specifications=tag_specifications,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
            **launch_options,
        )


def _gpu_settings(args: EksNodeGroupArgs) -> dict[str, Any]:
    """Label and taint of nodes with GPUs."""
    if not args.get("gpu", False):
        return {}
    taint = {"key": GPU_TAINT["key"], "value": GPU_TAINT["value"], "effect": "NO_SCHEDULE"}
    return {"labels": {POOL_LABEL: args["name"]}, "taints": [taint]}


def _check(args: EksNodeGroupArgs, purchase: str, where: str) -> None:
    zones = list(args["subnets"])
    reserved = purchase in ("capacity-reservation", "capacity-block")
    if reserved != ("reservation" in args):
        message = f"purchase is {purchase}, but reservation is {'missing' if reserved else 'set'}"
        fix = (
            "Set reservation to its id (cr-…)"
            if reserved
            else "Remove reservation, or set purchase to capacity-reservation or capacity-block"
        )
        raise InputError(message, where=f"{where}.reservation", fix=fix)
    if reserved and len(zones) != 1:
        raise InputError(
            f"a {purchase} is in one zone, but {len(zones)} zones are listed", where=f"{where}.subnets"
        )
    if not zones or set(zones) != set(args["nodes"]):
        message = f"nodes are in {', '.join(args['nodes']) or 'no zone'}, subnets are in {', '.join(zones) or 'none'}"
        raise InputError(
            message, where=f"{where}.nodes", fix="Set the number of nodes and the subnet of each zone"
        )
    for addon_name in args.get("addons", {}):
        check_choice(addon_name, LATER_ADDONS, f"{where}.addons")
