"""Records of a Fargate gateway: the mounted share, and the separate task that seals."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.security_group import Direction, peer_rule
from components.aws.records.share import NFS
from components.cluster.edge_files import RECORDS, SEALS, sealer_config
from components.cluster.objects import HEALTH_PORT
from components.gateway.fargate import tasks
from components.gateway.records import audit_section

SEALER_PORTS = (HEALTH_PORT,)
"""Its health port. ECS probes it from within the container, and only scrapers reach it from outside."""


class FargateShare(TypedDict):
    """A `RecordsShare` as tasks mount it."""

    file_system: pulumi.Input[str]
    """Id of the file system."""
    group: pulumi.Input[str]
    """Id of the security group of its addresses, which admits the tasks."""
    access_points: dict[str, pulumi.Input[str]]
    """Id of each access point: `gateway-records`, `gateway-seals`, `sealer-records`, `sealer-seals`."""


class FargateStore(TypedDict):
    """A bucket of S3 with Object Lock in the gateway's region."""

    bucket: pulumi.Input[str]
    """Name of the bucket."""
    prefix: str
    """Folder of the class and site in the bucket."""
    retention_days: int
    """Days for which nobody can delete a seal."""


class FargateAudit(TypedDict):
    """The audit records of a gateway's tasks, and the task that seals them."""

    secret: str
    """ARN of a secret that is JSON with `seal_key` (the sealer's public key, PEM) and `site_key`."""
    sealer_secret: str
    """ARN of a secret that is JSON with `signing_key`. No other task gets it."""
    earlier_keys: NotRequired[bool]
    """Whether that secret also has `earlier_keys`: the public keys of earlier signing keys."""
    policy: NotRequired[str]
    """Version of the policy, which records name. Absent: a digest of the gateway's own configuration."""
    max_unsealed_s: NotRequired[int]
    """Maximum age in seconds of an unsealed record before requests are refused. At most the class's own maximum."""
    share: FargateShare
    """The share of the records."""
    store: FargateStore
    """The store of the seals."""
    task_role: pulumi.Input[str]
    """ARN of the role with which the edge's tasks mount the share. It has no other permissions."""
    sealer_role: pulumi.Input[str]
    """ARN of the role of the sealer's task."""


class FargateRecords:
    """What a gateway on Fargate with records needs. Children of `opts.parent`."""

    def __init__(
        self,
        name: str,
        audit: FargateAudit,
        *,
        vpc_id: pulumi.Input[str],
        edge_group: pulumi.Input[str],
        endpoints_group: pulumi.Input[str],
        s3_prefix_list: pulumi.Input[str],
        tags: dict[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        from pulumi_aws import ec2

        self._name, self._audit, self._tags, self._opts = name, audit, tags, opts
        self.group = ec2.SecurityGroup(
            f"{name}-sealer-group",
            description="The sealer: private endpoints, S3 and the share out",
            vpc_id=vpc_id,
            tags={**tags, "Name": f"{name}-sealer"},
            opts=opts,
        ).id
        share = audit["share"]["group"]
        endpoints_rule = ("sealer-out-endpoints", self.group, "Private endpoints", 443)
        store_rule = ("sealer-out-s3", self.group, "The store, by the S3 endpoint", 443)
        self.rules = [
            self._rule("egress", *endpoints_rule, referenced_security_group_id=endpoints_group),
            self._rule("egress", *store_rule, prefix_list_id=s3_prefix_list),
        ]
        for task, group in (("edge", edge_group), ("sealer", self.group)):
            about = f"The share of records, by the {task}"
            outbound, inbound = (
                (f"{task}-out-share", group, about, NFS),
                (f"share-in-{task}", share, about, NFS),
            )
            self.rules += [
                self._rule("egress", *outbound, referenced_security_group_id=share),
                self._rule("ingress", *inbound, referenced_security_group_id=group),
            ]

    def _rule(self, direction: Direction, name: str, group: Any, about: str, port: int, **peer: Any) -> Any:
        rule_name = f"{self._name}-{name}"
        return peer_rule(rule_name, direction, group, about, port, tags=self._tags, opts=self._opts, **peer)

    def volumes(self, user: str) -> list[dict[str, Any]]:
        """Volumes of a task definition: each folder by the access point of `gateway` or `sealer`, over TLS, with
        the task's role.
        """
        share = self._audit["share"]
        return [
            {
                "name": folder,
                "efs_volume_configuration": {
                    "file_system_id": share["file_system"],
                    "transit_encryption": "ENABLED",
                    "authorization_config": {
                        "access_point_id": share["access_points"][f"{user}-{folder}"],
                        "iam": "ENABLED",
                    },
                },
            }
            for folder in ("records", "seals")
        ]

    @staticmethod
    def mounts(user: str) -> list[dict[str, Any]]:
        """Mounts of a container. A sealer reads `records` and writes `seals`; a gateway does the reverse."""
        read_only_folder = {"gateway": "seals", "sealer": "records"}[user]
        return [
            {"sourceVolume": folder, "containerPath": path, "readOnly": folder == read_only_folder}
            for folder, path in (("records", RECORDS), ("seals", SEALS))
        ]

    def section(self, config: dict[str, Any]) -> dict[str, Any]:
        """Section `audit` of the edge's configuration. `config`: the other sections."""
        return audit_section(self._audit, config)

    def edge_secrets(self) -> list[dict[str, str]]:
        return _json_secrets(self._audit["secret"], seal_key="EDGE_SEAL_KEY", site_key="EDGE_SITE_KEY")

    def sealer_secrets(self) -> list[dict[str, str]]:
        earlier = {"earlier_keys": "EDGE_EARLIER_KEYS"} if self._audit.get("earlier_keys", False) else {}
        return _json_secrets(self._audit["sealer_secret"], signing_key="EDGE_SIGNING_KEY", **earlier)

    def sealer(self, sensitivity: str, site: str, region: str) -> pulumi.Output[dict[str, Any]]:
        """The sealer's configuration: S3 by its host name, with the identity of its task."""
        store, keys = self._audit["store"], {"signing_key": tasks.SIGNING_KEY}
        if self._audit.get("earlier_keys", False):
            keys["earlier_keys"] = tasks.EARLIER_KEYS

        def configure(bucket: Any) -> dict[str, Any]:
            store_settings = {
                "region": region,
                "bucket": bucket,
                "prefix": store["prefix"],
                "retention_days": store["retention_days"],
            }
            return tasks.with_variables(sealer_config(sensitivity, site, store_settings, keys))

        return pulumi.Output.from_input(store["bucket"]).apply(configure)

    def network(self, subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]) -> dict[str, Any]:
        """Network settings of the sealer's service."""
        return {"subnets": subnet_ids, "security_groups": [self.group], "assign_public_ip": False}


def _json_secrets(secret: str, **parts: str) -> list[dict[str, str]]:
    """Variables from the members of one secret's JSON."""
    return [{"name": name, "valueFrom": f"{secret}:{member}::"} for member, name in sorted(parts.items())]
