"""Audit rules for sealing in AWS: the sealer's own role, and the file share of records and seals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.graph.iam.permissions import MOUNT, Role, covers, roles
from isthmus.graph.resources.resources import Resource, as_list
from isthmus.graph.workloads.sealers import seal_alone, sealers
from policies.audit.gateway_records import TASK, edge_configurations
from policies.data_path.paths import violations_from_faults
from policies.inputs.documents import conditions, containers, principals, statements
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"
ACCESS_POINT = "aws:efs/accessPoint:AccessPoint"
_POLICY = "aws:efs/fileSystemPolicy:FileSystemPolicy"
_FOLDERS = ("/records", "/seals")
_WRITE = "elasticfilesystem:ClientWrite"
_ACCESS_POINT_KEY = "elasticfilesystem:AccessPointArn"
_MANAGED = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(.*ElasticFileSystem(Client|Full).*|(Administrator|PowerUser)Access)"
)
"""AWS managed policies that let a role mount every file system."""
_ANY_SHARE: dict[str, Any] = {"Effect": "Allow", "Action": "elasticfilesystem:*", "Resource": "*"}


def _check_sealers_alone(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(seal_alone(subject.graph, subject.platform))


def _sealing_scope(subject: Subject) -> list[Any]:
    """The stack as a whole, if one of its sealers seals into AWS or it creates a write-once bucket."""
    stores = any(
        bucket.inputs.get("objectLockEnabled") for bucket in subject.graph.of("aws:s3/bucket:Bucket")
    )
    seals_into_aws = any(not sealer.store.get("credentials") for sealer in sealers(subject.graph))
    return [None] if stores or seals_into_aws else []


def _record_shares(subject: Subject) -> list[tuple[Resource, list[Resource]]]:
    """File systems with a folder for records or seals, and the access points of these folders."""
    by_urn: dict[str, tuple[Resource, list[Resource]]] = {}
    for point in subject.graph.of(ACCESS_POINT):
        if at(point.inputs, "rootDirectory.path") in _FOLDERS:
            for files in subject.graph.referred(point.inputs.get("fileSystemId"), FILE_SYSTEM):
                by_urn.setdefault(files.urn, (files, []))[1].append(point)
    return list(by_urn.values())


def _share_scope(subject: Subject) -> Iterator[Resource]:
    """The shares, and the tasks that mount a share."""
    yield from (files for files, _ in _record_shares(subject))
    yield from (task for task in subject.graph.of(TASK) if _efs_volumes(task))


def _check_shares(subject: Subject) -> Iterator[Violation]:
    for files, points in _record_shares(subject):
        for point in points:
            user = at(point.inputs, "posixUser.uid")
            if is_unknown(user):
                yield Violation(f"the user that {point.name} enforces is not known yet", files, "undecided")
            elif not user:
                yield Violation(f"{point.name} enforces no user, so callers can be root", files)
        policies = [
            policy
            for policy in subject.graph.of(_POLICY)
            if files in subject.graph.referred(policy.inputs.get("fileSystemId"))
        ]
        if not policies:
            yield Violation(
                f"{files.name} has no policy, so anyone who reaches its address can mount it", files
            )
        for policy in policies:
            yield from _check_share_policy(subject, files, points, policy)
            yield from _check_role_policies(subject, files, points, policy)
    for task in subject.graph.of(TASK):
        yield from _check_task_mounts(subject, task)


def _check_share_policy(
    subject: Subject, files: Resource, points: list[Resource], policy: Resource
) -> Iterator[Violation]:
    """Reports what a share's policy leaves open, and folders that two users write."""
    document = statements(policy.inputs.get("policy"))
    if document is None:
        yield Violation(f"the policy of {files.name} is not known before it is created", files, "undecided")
        return
    denied = [statement for statement in document if statement.get("Effect") == "Deny"]
    if not any(
        str(at(statement, "Condition.Bool.aws:SecureTransport")).lower() == "false"
        and set(MOUNT) <= set(as_list(statement.get("Action")))
        for statement in denied
    ):
        yield Violation(f"{files.name} can also be mounted without TLS", files)
    writers: dict[str, set[str]] = {}
    for statement in (statement for statement in document if statement.get("Effect") == "Allow"):
        sid = statement.get("Sid") or "a statement"
        if "*" in principals(statement) or not principals(statement):
            yield Violation(f"{sid} of {files.name} lets anyone mount it", files)
        arn = at(statement, "Condition.StringEquals.elasticfilesystem:AccessPointArn")
        named_points = [point for point in points if point in subject.graph.referred(str(arn or ""))]
        if not named_points:
            yield Violation(
                f"{sid} of {files.name} names no access point, so it allows mounting every folder", files
            )
        if not set(as_list(statement.get("Action"))) <= set(MOUNT):
            yield Violation(f"{sid} of {files.name} allows root access", files)
        if _WRITE in as_list(statement.get("Action")):
            for point in named_points:
                folder, user = at(point.inputs, "rootDirectory.path"), at(point.inputs, "posixUser.uid")
                writers.setdefault(str(folder), set()).add(str(user))
    for folder, users in sorted(writers.items()):
        if len(users) > 1:
            yield Violation(f"both the gateway and the sealer can write {folder} of {files.name}", files)
    if len(writers) > 1 and len(set.union(*writers.values())) < len(writers):
        yield Violation(f"one user writes both records and seals of {files.name}", files)


def _check_role_policies(
    subject: Subject, files: Resource, points: list[Resource], policy: Resource
) -> Iterator[Violation]:
    """Reports roles whose own policies allow access that the share's policy does not.

    EFS needs an Allow in only one of the two policies (Amazon EFS user guide, "Using IAM to control file system
    data access").
    """
    share = statements(policy.inputs.get("policy")) or []
    for role in roles(subject.graph):
        role_statements = [
            *role.policies,
            *(_ANY_SHARE for arn in role.unknown if _MANAGED.fullmatch(arn)),
        ]
        for action in MOUNT:
            if not any(_role_allows(subject, statement, action, files) for statement in role_statements):
                continue
            if role.boundary is not None and not any(
                _names_action(statement, action) for statement in role.boundary
            ):
                continue
            for point in (None, *points):
                if _share_allows(subject, share, role, action, point) or _share_denies(
                    subject, share, role, action, point
                ):
                    continue
                access = point.name if point is not None else "no access point"
                verb = "write" if action == _WRITE else "mount"
                yield Violation(
                    f"role {role.name} may {verb} {files.name} through {access}, by its own policy alone",
                    files,
                )


def _names_action(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(covers(pattern, action) for pattern in as_list(statement["NotAction"]))
    return any(covers(pattern, action) for pattern in as_list(statement.get("Action")))


def _role_allows(subject: Subject, statement: dict[str, Any], action: str, files: Resource) -> bool:
    """Whether a role's own statement allows an action on a file system, if its conditions hold."""
    if statement.get("Effect") != "Allow" or not _names_action(statement, action):
        return False
    for resource in as_list(statement.get("Resource")):
        kind = resource.split(":", 5)[-1]
        if files in subject.graph.referred(resource) or kind in ("*", "file-system/*"):
            return True
    return "NotResource" in statement


def _share_allows(
    subject: Subject, share: list[dict[str, Any]], role: Role, action: str, point: Resource | None
) -> bool:
    """Whether the share's policy allows the role this action through the access point."""
    return any(
        statement.get("Effect") == "Allow"
        and _names_action(statement, action)
        and _is_named(subject, principals(statement), role)
        and point is not None
        and point
        in subject.graph.referred(at(statement, f"Condition.StringEquals.{_ACCESS_POINT_KEY}") or "")
        for statement in share
    )


def _share_denies(
    subject: Subject, share: list[dict[str, Any]], role: Role, action: str, point: Resource | None
) -> bool:
    """Whether a Deny statement of the share's policy applies to the role, with all of its conditions."""
    return any(
        statement.get("Effect") == "Deny"
        and _names_action(statement, action)
        and ("*" in principals(statement) or _is_named(subject, principals(statement), role))
        and all(
            _condition_holds(subject, operator, key, value, role, point)
            for operator, key, value in conditions(statement)
        )
        for statement in share
    )


def _condition_holds(
    subject: Subject, operator: str, key: str, value: Any, role: Role, point: Resource | None
) -> bool:
    """Whether a condition of a Deny statement holds for the role and access point. False if it cannot be read."""
    if key == _ACCESS_POINT_KEY:
        matches = point is not None and point in subject.graph.referred(value)
        return {"StringEquals": matches, "StringNotEquals": not matches}.get(operator, False)
    if key == "aws:PrincipalArn":
        matches = _is_named(subject, as_list(value), role)
        wildcard = any("*" in name for name in as_list(value))
        return {
            "ArnEquals": matches,
            "ArnNotEquals": not matches and not wildcard,
            "StringNotEquals": not matches,
            "Null": value == "false",
        }.get(operator, False)
    return False


def _is_named(subject: Subject, names: list[str], role: Role) -> bool:
    return any(role.resource in subject.graph.referred(name, ":Role") for name in names)


def _efs_volumes(task: Resource) -> list[Any]:
    volumes = task.inputs.get("volumes")
    return (
        [volume for volume in volumes if at(volume, "efsVolumeConfiguration")]
        if isinstance(volumes, list)
        else []
    )


def _check_task_mounts(subject: Subject, task: Resource) -> Iterator[Violation]:
    """Reports how a Fargate task mounts a share, and folders of others that it can write."""
    for volume in _efs_volumes(task):
        name = f"volume {at(volume, 'name')} of {task.name}"
        settings = at(volume, "efsVolumeConfiguration")
        for path, problem in (
            ("transitEncryption", "is mounted without TLS"),
            ("authorizationConfig.iam", "is mounted without IAM authorization"),
        ):
            value = at(settings, path)
            if is_unknown(value):
                yield Violation(f"{name}: {path} is not known yet", task, "undecided")
            elif value != "ENABLED":
                yield Violation(f"{name} {problem}", task)
        if not at(settings, "authorizationConfig.accessPointId"):
            yield Violation(f"{name} mounts the whole file system, without an access point", task)
    for mode, key in (("sealer", "records"), ("gateway", "audit.seals")):
        for resource, config in edge_configurations(subject, mode):
            folder = at(config, key)
            if resource is not task or not folder:
                continue
            for container in containers(task) or []:
                for mount in container.get("mountPoints") or []:
                    if at(mount, "containerPath") == folder and at(mount, "readOnly") is not True:
                        yield Violation(
                            f"{task.name} can write {folder}, which only its own writer may change", task
                        )


RULES = (
    Rule(
        "audit/sealers-seal-alone",
        "In AWS only the sealer's own role writes seals, and nobody else can write or delete them",
        "critical",
        (*fw.nist("AU-9(4)", "AC-5", "AC-6"), *fw.pci("10.3.2"), *fw.iso_27001("A.5.3", "A.8.15")),
        "Another writer could seal false records, and whoever can delete seals could hide true ones",
        "Give the sealer its own RecordsIdentity, and remove the audit bucket from the policies of every other role",
        _check_sealers_alone,
        applies_to=_sealing_scope,
    ),
    Rule(
        "audit/share-apart",
        "On the records share each folder has one writer, and only named roles mount it, over TLS",
        "critical",
        (*fw.nist("AU-9(4)", "AC-3", "SC-8"), *fw.pci("10.3.2", "4.2.1"), *fw.iso_27001("A.8.3", "A.8.24")),
        "A gateway that can write seals, or anyone who can mount the share, can change the evidence",
        "Make the share with RecordsShare: an access point for each folder and user, and a policy that names them",
        _check_shares,
        (FILE_SYSTEM, TASK),
        applies_to=_share_scope,
    ),
)
