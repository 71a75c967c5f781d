"""The EFS share to which a class's gateways write records and from which its sealer reads them.

There are two access points for each folder. An access point sets the user of its clients, and the file system's
policy decides whether it may write. So neither gateway nor sealer can write the other's folder, whatever runs in
them.
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
"""User ids of the gateways and of the sealer, as in a cluster. Both have one group, which may read both folders."""
Folder = Literal["records", "seals"]
POINTS: dict[str, tuple[Folder, int, bool]] = {
    "gateway-records": ("records", WRITER, True),
    "gateway-seals": ("seals", WRITER, False),
    "sealer-records": ("records", SEALER, False),
    "sealer-seals": ("seals", SEALER, True),
}
"""By access point: its folder, its user, and whether it may write."""
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
    """ARNs of the roles that may mount each access point: `gateway-` and `sealer-` before `records` and `seals`."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the organisation's key that encrypts it. Absent: a key is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class RecordsShare(pulumi.ComponentResource):
    """An encrypted file system with an address in each zone. Named roles mount it over TLS and through access
    points only.

    Nobody has root access. The file system and its key stay after a destroy, because it holds records that are not
    sealed yet.
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
        """In Python: its mount targets, on which clients depend."""
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
        """ARN of the key, and the ARNs of created keys."""
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
        """Create an address in each subnet, after the policy, so that nobody can mount the share without it."""
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
            # The first client creates the folder, which belongs to its writer in any case.
            root_directory={"path": f"/{folder}", "creation_info": owner},
            tags={**tags, "Name": f"{name}-{point}"},
            opts=opts,
        )


def share_policy(
    files: Any, points: Mapping[str, Any], principals: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Which roles may mount the file system through which access points. No access without TLS or as root.

    With a policy, EFS' default (everybody who reaches an address) no longer applies (Amazon EFS user guide, "Using
    IAM to control access to file systems", as of knowledge, not checked). An identity policy alone also admits a
    role, so denials repeat the rules: only its own roles for each access point, and only its own access points for
    each role.
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
    """Denials that no identity policy overrides: access without an access point, writing through a reader's, and
    another role's.
    """
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
        # A cluster's node mounts for the pods of both, so it belongs to neither alone.
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
        # `Null`: if EFS sends no principal, this statement denies nobody instead of everybody.
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
    """The account administers the key through IAM. Within the account, files are encrypted and decrypted through
    EFS only.
    """
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
