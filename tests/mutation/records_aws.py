"""Faults in gateway records in AWS: roles that seal or delete seals, and access to the share."""

from __future__ import annotations

from typing import Any

from tests.broken_graphs.parts import POLICY, TASKS
from tests.mutation.shapes import Context, Family

FAMILY = Family("audit")
ROLE_POLICY, SHARE = "aws:iam/rolePolicy:RolePolicy", "aws:efs/fileSystemPolicy:FileSystemPolicy"
TASK = "aws:ecs/taskDefinition:TaskDefinition"


def calls_models(statements: Any, _: Context) -> bool:
    return any(
        "bedrock:InvokeModel" in statement["Action"] and statement["Effect"] == "Allow"
        for statement in statements
    )


def seals(statements: Any, _: Context) -> bool:
    return any("s3:PutObjectRetention" in statement["Action"] for statement in statements)


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=calls_models)
def translators_role_that_seals_too(statements: Any, context: Context) -> None:
    """A translator's role may put objects into every bucket, the audit store among them."""
    statements.append(
        {"Sid": "Cache", "Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::*/*"]}
    )


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=seals)
def sealer_that_may_delete_seals(statements: Any, context: Context) -> None:
    """A sealer's role may delete versions of what it sealed."""
    put = next(statement for statement in statements if "s3:PutObjectRetention" in statement["Action"])
    statements.append({**put, "Sid": "Tidy", "Action": ["s3:DeleteObjectVersion"]})


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=seals)
def sealer_that_puts_beyond_its_prefix(statements: Any, context: Context) -> None:
    """A sealer's role may put into the whole audit store, other classes' seals included."""
    for statement in statements:
        if "s3:PutObjectRetention" in statement["Action"]:
            statement["Resource"] = [resource.partition("/")[0] + "/*" for resource in statement["Resource"]]


@FAMILY.changes(SHARE, lens=POLICY)
def share_mounted_without_tls(statements: Any, context: Context) -> None:
    """The share of records may be mounted without TLS."""
    statements[:] = [statement for statement in statements if "aws:SecureTransport" not in str(statement)]


@FAMILY.changes(SHARE, lens=POLICY)
def share_that_anybody_mounts(statements: Any, context: Context) -> None:
    """Whoever reaches the share's address may mount a folder of it."""
    next(statement for statement in statements if statement["Effect"] == "Allow")["Principal"] = {"AWS": "*"}


@FAMILY.changes(SHARE, lens=POLICY)
def gateway_that_writes_seals(statements: Any, context: Context) -> None:
    """A gateway's access point may write the folder of seals."""
    statement = next(candidate for candidate in statements if candidate.get("Sid") == "GatewaySeals")
    statement["Action"] = [*statement["Action"], "elasticfilesystem:ClientWrite"]


def mounts(container: Any, _: Context) -> bool:
    return any(mount.get("readOnly") for mount in container.get("mountPoints") or [])


@FAMILY.changes(TASK, lens=TASKS, where=mounts)
def task_that_writes_the_others_folder(container: Any, context: Context) -> None:
    """A task on Fargate mounts its neighbour's folder to write to it."""
    for mount in container["mountPoints"]:
        mount["readOnly"] = False


@FAMILY.changes(TASK, where=lambda inputs, _: inputs.get("volumes"))
def task_that_mounts_in_nobodys_name(inputs: Any, context: Context) -> None:
    """A task on Fargate mounts the share without its role."""
    for volume in inputs["volumes"]:
        volume["efsVolumeConfiguration"]["authorizationConfig"]["iam"] = "DISABLED"
