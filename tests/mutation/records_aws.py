"""Faults on gateways' records in AWS: whose role seals and takes seals away, and who mounts and writes the share."""

from __future__ import annotations

from typing import Any

from tests.mutation.parts import POLICY, TASKS
from tests.mutation.shapes import Family, Seen

FAMILY = Family("audit")
ROLE_POLICY, SHARE = "aws:iam/rolePolicy:RolePolicy", "aws:efs/fileSystemPolicy:FileSystemPolicy"
TASK = "aws:ecs/taskDefinition:TaskDefinition"


def calls_models(said: Any, _: Seen) -> bool:
    return any("bedrock:InvokeModel" in each["Action"] and each["Effect"] == "Allow" for each in said)


def seals(said: Any, _: Seen) -> bool:
    return any("s3:PutObjectRetention" in each["Action"] for each in said)


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=calls_models)
def translators_role_that_seals_too(said: Any, seen: Seen) -> None:
    """A translator's role may put objects into every bucket, the audit store among them."""
    said.append(
        {"Sid": "Cache", "Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::*/*"]}
    )


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=seals)
def sealer_that_may_delete_seals(said: Any, seen: Seen) -> None:
    """A sealer's role may delete versions of what it sealed."""
    put = next(each for each in said if "s3:PutObjectRetention" in each["Action"])
    said.append({**put, "Sid": "Tidy", "Action": ["s3:DeleteObjectVersion"]})


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=seals)
def sealer_that_puts_beyond_its_prefix(said: Any, seen: Seen) -> None:
    """A sealer's role may put into the whole audit store, other classes' seals included."""
    for each in said:
        if "s3:PutObjectRetention" in each["Action"]:
            each["Resource"] = [resource.partition("/")[0] + "/*" for resource in each["Resource"]]


@FAMILY.changes(SHARE, lens=POLICY)
def share_mounted_without_tls(said: Any, seen: Seen) -> None:
    """The share of records may be mounted without TLS."""
    said[:] = [each for each in said if "aws:SecureTransport" not in str(each)]


@FAMILY.changes(SHARE, lens=POLICY)
def share_that_anybody_mounts(said: Any, seen: Seen) -> None:
    """Whoever reaches the share's address may mount a folder of it."""
    next(each for each in said if each["Effect"] == "Allow")["Principal"] = {"AWS": "*"}


@FAMILY.changes(SHARE, lens=POLICY)
def gateway_that_writes_seals(said: Any, seen: Seen) -> None:
    """A gateway's access point may write the folder of seals."""
    one = next(each for each in said if each.get("Sid") == "GatewaySeals")
    one["Action"] = [*one["Action"], "elasticfilesystem:ClientWrite"]


def mounts(box: Any, _: Seen) -> bool:
    return any(each.get("readOnly") for each in box.get("mountPoints") or [])


@FAMILY.changes(TASK, lens=TASKS, where=mounts)
def task_that_writes_the_others_folder(box: Any, seen: Seen) -> None:
    """A task on Fargate mounts its neighbour's folder to write to it."""
    for each in box["mountPoints"]:
        each["readOnly"] = False


@FAMILY.changes(TASK, where=lambda inputs, _: inputs.get("volumes"))
def task_that_mounts_in_nobodys_name(inputs: Any, seen: Seen) -> None:
    """A task on Fargate mounts the share without its role."""
    for each in inputs["volumes"]:
        each["efsVolumeConfiguration"]["authorizationConfig"]["iam"] = "DISABLED"
