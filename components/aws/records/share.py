"""The EFS share on which a class's gateways write records and its sealer reads them.

Four access points, two a folder: each makes whoever comes by it one user, and the file system's policy says of each
whether it may write. So neither gateway nor sealer writes the other's folder, whatever runs in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import pulumi

from components.aws.common.efs_mount import MOUNT, ROOT, WRITE
from components.aws.common.keys import STORE_UNDER, account_root, administration_statement, rotated_key
from components.aws.common.names import partition
from components.aws.common.security_group import AllowedTraffic, one_way_group
from components.base.argument_checks import check_sensitivity
from isthmus.core.errors import InputError

NFS = 2049
WRITER, SEALER = 2000, 2001
"""Users of the gateways and of the sealer, as in a cluster; they have one group, which reads both folders."""
Folder = Literal["records", "seals"]
POINTS: dict[str, tuple[Folder, int, bool]] = {
    "gateway-records": ("records", WRITER, True),
    "gateway-seals": ("seals", WRITER, False),
    "sealer-records": ("records", SEALER, False),
    "sealer-seals": ("seals", SEALER, True),
}
"""By access point: the folder that it opens, as which user, and whether that may be written by it."""
_OWNER = {"records": WRITER, "seals": SEALER}


class RecordsShareArgs(TypedDict):
    """The EFS share of one class's records at one AWS site."""

    sensitivity: str
    """The class: public, internal or confidential."""
    region: str
    """AWS region."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC."""
    subnet_ids: list[pulumi.Input[str]]
    """Ids of private subnets, one in each zone. It has an address in each."""
    sources: NotRequired[list[str]]
    """Networks that may mount it. Absent: rules of its security group decide."""
    principals: dict[str, list[pulumi.Input[str]]]
    """By access point, `gateway-` and `sealer-` before `records` and `seals`: ARNs of the roles that may mount it."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the organisation's key that encrypts it. Absent: a key is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class RecordsShare(pulumi.ComponentResource):
    """A sealed file system with an address in each zone, mounted over TLS by named roles and by access point only.

    Nobody is root on it. The file system and its key stay when the stack is destroyed: what is not sealed yet is on it.
    """

    file_system_id: pulumi.Output[str]
    """Id of the file system."""
    file_system_arn: pulumi.Output[str]
    """ARN of the file system."""
    access_points: pulumi.Output[dict[str, str]]
    """Id of each access point."""
    group_id: pulumi.Output[str]
    """Id of the security group of its addresses."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: the file system and its key."""

    def __init__(self, name: str, args: RecordsShareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:RecordsShare", name, dict(args), opts)
        sensitivity = _check(args, name)
        child = pulumi.ResourceOptions(parent=self)
        tags = {**args.get("tags", {}), "isthmus.dev/class": sensitivity}
        key, key_arns = self._key(name, args, tags)
        files = self._create_file_system(name, key, tags)
        access_points = {point: self._point(name, point, files.id, tags, child) for point in POINTS}
        self.points = {point: access_point.id for point, access_point in access_points.items()}
        """In Python: id of each access point."""
        self.point_arns = {point: access_point.arn for point, access_point in access_points.items()}
        policy = self._create_policy(name, files, args["principals"])
        self.group_id = one_way_group(
            name,
            AllowedTraffic("ingress", NFS, args.get("sources", [])),
            description="NFS to the share of records",
            vpc_id=args["vpc_id"],
            tags=tags,
            opts=child,
        )
        self.targets = self._create_mount_targets(name, args["subnet_ids"], files, policy)
        """In Python: its addresses, which whoever mounts it waits for."""
        self.file_system_id, self.file_system_arn = files.id, files.arn
        self.access_points = pulumi.Output.all(**self.points)
        self.retained = pulumi.Output.all(files.arn, *key_arns)
        self.register_outputs(
            {
                "file_system_id": self.file_system_id,
                "file_system_arn": self.file_system_arn,
                "access_points": self.access_points,
                "group_id": self.group_id,
                "retained": self.retained,
            }
        )

    @property
    def _retained_opts(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, retain_on_delete=True)

    def _key(self, name: str, args: RecordsShareArgs, tags: dict[str, str]) -> tuple[Any, list[Any]]:
        """ARN of the key, and of the one that was made."""
        if "kms_key" in args:
            return args["kms_key"], []
        from pulumi_aws import get_caller_identity_output

        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        policy = key_policy(args["region"], account)
        key = rotated_key(f"{name}-key", f"Share of records {name}", policy, tags, self._retained_opts)
        return key.arn, [key.arn]

    def _create_file_system(self, name: str, key: Any, tags: dict[str, str]) -> Any:
        from pulumi_aws.efs import FileSystem

        return FileSystem(
            f"{name}-files",
            encrypted=True,
            kms_key_id=key,
            performance_mode="generalPurpose",
            throughput_mode="elastic",
            tags={**tags, "Name": name},
            opts=self._retained_opts,
        )

    def _create_policy(
        self, name: str, files: Any, principals: Mapping[str, Sequence[Any]]
    ) -> pulumi.Resource:
        from pulumi_aws.efs import FileSystemPolicy

        return FileSystemPolicy(
            f"{name}-policy",
            file_system_id=files.id,
            policy=pulumi.Output.json_dumps(share_policy(files.arn, self.point_arns, principals)),
            opts=self._retained_opts,
        )

    def _create_mount_targets(
        self, name: str, subnets: Sequence[Any], files: Any, policy: pulumi.Resource
    ) -> list[Any]:
        """An address in each subnet. Nobody mounts the share before its policy says who may."""
        from pulumi_aws.efs import MountTarget

        return [
            MountTarget(
                f"{name}-address-{index}",
                file_system_id=files.id,
                subnet_id=subnet,
                security_groups=[self.group_id],
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
            for index, subnet in enumerate(subnets)
        ]

    @staticmethod
    def _point(name: str, point: str, files: Any, tags: dict[str, str], opts: pulumi.ResourceOptions) -> Any:
        from pulumi_aws.efs import AccessPoint

        folder, user, _ = POINTS[point]
        owner: Any = {"owner_uid": _OWNER[folder], "owner_gid": WRITER, "permissions": "0755"}
        return AccessPoint(
            f"{name}-{point}",
            file_system_id=files,
            posix_user={"uid": user, "gid": WRITER},
            # Made by whoever comes first, and owned by who writes it all the same.
            root_directory={"path": f"/{folder}", "creation_info": owner},
            tags={**tags, "Name": f"{name}-{point}"},
            opts=opts,
        )


def share_policy(
    files: Any, points: Mapping[str, Any], principals: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Who may mount the file system, by which of its access points; nobody without TLS, nobody as root.

    With a policy, the default that lets in whoever reaches an address no longer holds (Amazon EFS user guide, "Using
    IAM to control access to file systems", as of knowledge, not checked). An identity policy alone lets a role in as
    well, so denials repeat what is allowed: each access point to its own roles, each role to its own access points.
    """
    statements: list[dict[str, Any]] = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": [MOUNT, WRITE, ROOT],
            "Resource": files,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "NobodyIsRoot",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": [ROOT],
            "Resource": files,
        },
        *_denials(files, points, principals),
    ]
    for point, (_, _, writes) in POINTS.items():
        statements.append(
            {
                "Sid": "".join(word.capitalize() for word in point.split("-")),
                "Effect": "Allow",
                "Principal": {"AWS": list(principals[point])},
                "Action": [MOUNT, *([WRITE] if writes else [])],
                "Resource": files,
                "Condition": {
                    "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
                    "StringEquals": {"elasticfilesystem:AccessPointArn": points[point]},
                },
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _denials(
    files: Any, points: Mapping[str, Any], principals: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """What no identity policy can allow: another way than an access point, writing by a reader's, somebody else's."""
    access_point_key = "elasticfilesystem:AccessPointArn"

    def deny(sid: str, principal: Any, actions: list[str], condition: dict[str, Any]) -> dict[str, Any]:
        statement = {"Sid": sid, "Effect": "Deny", "Principal": {"AWS": principal}, "Action": actions}
        return {**statement, "Resource": files, "Condition": condition}

    readers = [points[point] for point, (_, _, writes) in POINTS.items() if not writes]
    denials = [
        deny(
            "ByAccessPointOnly",
            "*",
            [MOUNT, WRITE],
            {"StringNotEquals": {access_point_key: list(points.values())}},
        ),
        deny("ReadersOnlyRead", "*", [WRITE], {"StringEquals": {access_point_key: readers}}),
    ]
    for owner in dict.fromkeys(point.partition("-")[0] for point in POINTS):
        own_points = [point for point in POINTS if point.startswith(owner)]
        roles = list(dict.fromkeys(role for point in own_points for role in principals[point]))
        other_roles = [role for point in POINTS if point not in own_points for role in principals[point]]
        # A machine of a cluster mounts for the pods of both, so it is neither's alone.
        exclusive_roles = [
            role
            for role in roles
            if not any(role is other_role or role == other_role for other_role in other_roles)
        ]
        if exclusive_roles:
            own_condition = {access_point_key: [points[point] for point in own_points]}
            denials.append(
                deny(
                    f"{owner.capitalize()}ByItsOwn",
                    exclusive_roles,
                    [MOUNT, WRITE],
                    {"StringNotEquals": own_condition},
                )
            )
        # `Null`: should EFS not say who asks, this statement denies nobody instead of everybody.
        denials.append(
            deny(
                f"{owner.capitalize()}sPoints",
                "*",
                [MOUNT, WRITE],
                {
                    "StringEquals": {access_point_key: [points[point] for point in own_points]},
                    "ArnNotEquals": {"aws:PrincipalArn": roles},
                    "Null": {"aws:PrincipalArn": "false"},
                },
            )
        )
    return denials


def key_policy(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """The account administers the key through IAM; in it, files are sealed and read through EFS only."""
    aws_partition = partition(region)
    via_efs = {
        "kms:ViaService": f"elasticfilesystem.{region}.amazonaws.com",
        "kms:CallerAccount": account,
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            administration_statement(aws_partition, account),
            {
                "Sid": "SealFilesThroughEfs",
                "Effect": "Allow",
                "Principal": account_root(aws_partition, account),
                "Action": ["kms:CreateGrant", *STORE_UNDER],
                "Resource": "*",
                "Condition": {"StringEquals": via_efs},
            },
        ],
    }


def _check(args: RecordsShareArgs, name: str) -> str:
    sensitivity = check_sensitivity(args["sensitivity"], name)
    if sensitivity == "restricted":
        raise InputError(
            "records of restricted work must be kept on-prem",
            where=f"{name}.sensitivity",
            fix="Use a PersistentVolume of the site",
        )
    if not args["subnet_ids"]:
        raise InputError("the share has no subnet", where=f"{name}.subnet_ids", fix="Add private subnets")
    for point in POINTS:
        if not args["principals"].get(point):
            raise InputError(
                f"nobody may mount {point}",
                where=f"{name}.principals.{point}",
                fix="Add the ARN of a role for each: a gateway and its sealer both need their two folders",
            )
    return sensitivity
