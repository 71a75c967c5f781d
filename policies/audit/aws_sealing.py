"""Audit in AWS: a sealer's identity is its own and seals alone; its share with the gateway is shut and sealed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.graph.iam.permissions import MOUNT, Role, covers, roles
from isthmus.graph.resources.resources import Resource, listed
from isthmus.graph.workloads.sealers import seal_alone, sealers
from policies.audit.gateway_records import TASK, configured
from policies.data_path.paths import of_faults
from policies.inputs.documents import conditions, containers, principals, statements
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

FILES = "aws:efs/fileSystem:FileSystem"
POINT = "aws:efs/accessPoint:AccessPoint"
_POLICY = "aws:efs/fileSystemPolicy:FileSystemPolicy"
_FOLDERS = ("/records", "/seals")
_WRITE = "elasticfilesystem:ClientWrite"
_BY = "elasticfilesystem:AccessPointArn"
_MANAGED = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(.*ElasticFileSystem(Client|Full).*|(Administrator|PowerUser)Access)"
)
"""Policies of AWS's own that let a role mount every file system."""
_ANY_SHARE: dict[str, Any] = {"Effect": "Allow", "Action": "elasticfilesystem:*", "Resource": "*"}


def _alone(subject: Subject) -> Iterator[Broken]:
    return of_faults(seal_alone(subject.graph, subject.platform))


def asked_alone(subject: Subject) -> list[Any]:
    """The stack as a whole, where a sealer in it seals into AWS, or a write-once bucket is made."""
    stores = any(each.inputs.get("objectLockEnabled") for each in subject.graph.of("aws:s3/bucket:Bucket"))
    here = any(not each.store.get("credentials") for each in sealers(subject.graph))
    return [None] if stores or here else []


def shares(subject: Subject) -> list[tuple[Resource, list[Resource]]]:
    """File systems with a folder of records or seals, and the access points of these folders."""
    found: dict[str, tuple[Resource, list[Resource]]] = {}
    for point in subject.graph.of(POINT):
        if at(point.inputs, "rootDirectory.path") in _FOLDERS:
            for files in subject.graph.referred(point.inputs.get("fileSystemId"), FILES):
                found.setdefault(files.urn, (files, []))[1].append(point)
    return list(found.values())


def judged_apart(subject: Subject) -> Iterator[Resource]:
    """The shares, and the tasks that mount any."""
    yield from (files for files, _ in shares(subject))
    yield from (each for each in subject.graph.of(TASK) if _volumes(each))


def _apart(subject: Subject) -> Iterator[Broken]:
    for files, points in shares(subject):
        for point in points:
            user = at(point.inputs, "posixUser.uid")
            if unknown(user):
                yield Broken(f"whose user {point.name} makes is not known yet", files, "undecided")
            elif not user:
                yield Broken(f"{point.name} lets in whatever user asks, root too", files)
        policies = [
            each
            for each in subject.graph.of(_POLICY)
            if files in subject.graph.referred(each.inputs.get("fileSystemId"))
        ]
        if not policies:
            yield Broken(f"{files.name} has no policy, so whoever reaches its address mounts it", files)
        for policy in policies:
            yield from _policy(subject, files, points, policy)
            yield from _by_their_own_policies(subject, files, points, policy)
    for task in subject.graph.of(TASK):
        yield from _task(subject, task)


def _policy(subject: Subject, files: Resource, points: list[Resource], policy: Resource) -> Iterator[Broken]:
    """What a share's policy leaves open, and folders that two users write."""
    said = statements(policy.inputs.get("policy"))
    if said is None:
        yield Broken(f"the policy of {files.name} is not known before it is made", files, "undecided")
        return
    denied = [each for each in said if each.get("Effect") == "Deny"]
    if not any(
        str(at(each, "Condition.Bool.aws:SecureTransport")).lower() == "false"
        and set(MOUNT) <= set(listed(each.get("Action")))
        for each in denied
    ):
        yield Broken(f"{files.name} is mounted without TLS too", files)
    writers: dict[str, set[str]] = {}
    for statement in (each for each in said if each.get("Effect") == "Allow"):
        sid = statement.get("Sid") or "a statement"
        if "*" in principals(statement) or not principals(statement):
            yield Broken(f"{sid} of {files.name} lets anybody mount it", files)
        arn = at(statement, "Condition.StringEquals.elasticfilesystem:AccessPointArn")
        opened = [each for each in points if each in subject.graph.referred(str(arn or ""))]
        if not opened:
            yield Broken(
                f"{sid} of {files.name} names no access point, so any folder is mounted by it", files
            )
        if not set(listed(statement.get("Action"))) <= set(MOUNT):
            yield Broken(f"{sid} of {files.name} lets its callers be root", files)
        if _WRITE in listed(statement.get("Action")):
            for each in opened:
                folder, user = at(each.inputs, "rootDirectory.path"), at(each.inputs, "posixUser.uid")
                writers.setdefault(str(folder), set()).add(str(user))
    for folder, users in sorted(writers.items()):
        if len(users) > 1:
            yield Broken(f"{folder} of {files.name} is written by gateway and sealer both", files)
    if len(writers) > 1 and len(set.union(*writers.values())) < len(writers):
        yield Broken(f"one user writes records and seals of {files.name}", files)


def _by_their_own_policies(
    subject: Subject, files: Resource, points: list[Resource], policy: Resource
) -> Iterator[Broken]:
    """Roles whose own policies let them in where the share's policy names others.

    EFS needs an allowance in one of the two documents only (Amazon EFS user guide, "Using IAM to control file system
    data access").
    """
    share = statements(policy.inputs.get("policy")) or []
    for role in roles(subject.graph):
        own = [*role.policies, *(_ANY_SHARE for arn in role.unknown if _MANAGED.fullmatch(arn))]
        for action in MOUNT:
            if not any(_grants(subject, each, action, files) for each in own):
                continue
            if role.boundary is not None and not any(_names_action(each, action) for each in role.boundary):
                continue
            for point in (None, *points):
                if _lets(subject, share, role, action, point) or _denied(subject, share, role, action, point):
                    continue
                way = point.name if point is not None else "no access point"
                verb = "write" if action == _WRITE else "mount"
                yield Broken(
                    f"role {role.name} may {verb} {files.name} by {way}, by its own policy alone", files
                )


def _names_action(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(covers(each, action) for each in listed(statement["NotAction"]))
    return any(covers(each, action) for each in listed(statement.get("Action")))


def _grants(subject: Subject, statement: dict[str, Any], action: str, files: Resource) -> bool:
    """Whether a role's own statement allows an action on a file system. Its conditions are taken to hold."""
    if statement.get("Effect") != "Allow" or not _names_action(statement, action):
        return False
    for resource in listed(statement.get("Resource")):
        kind = resource.split(":", 5)[-1]
        if files in subject.graph.referred(resource) or kind in ("*", "file-system/*"):
            return True
    return "NotResource" in statement


def _lets(
    subject: Subject, share: list[dict[str, Any]], role: Role, action: str, point: Resource | None
) -> bool:
    """Whether the share's policy itself lets the role do this by the access point."""
    return any(
        each.get("Effect") == "Allow"
        and _names_action(each, action)
        and _is_named(subject, principals(each), role)
        and point is not None
        and point in subject.graph.referred(at(each, f"Condition.StringEquals.{_BY}") or "")
        for each in share
    )


def _denied(
    subject: Subject, share: list[dict[str, Any]], role: Role, action: str, point: Resource | None
) -> bool:
    """Whether a denial of the share's policy stops the role, by every one of its conditions."""
    return any(
        each.get("Effect") == "Deny"
        and _names_action(each, action)
        and ("*" in principals(each) or _is_named(subject, principals(each), role))
        and all(
            _stops(subject, operator, key, value, role, point) for operator, key, value in conditions(each)
        )
        for each in share
    )


def _stops(subject: Subject, operator: str, key: str, value: Any, role: Role, point: Resource | None) -> bool:
    """Whether one condition of a denial holds for the role at the access point; not, where it cannot be read."""
    if key == _BY:
        named = point is not None and point in subject.graph.referred(value)
        return {"StringEquals": named, "StringNotEquals": not named}.get(operator, False)
    if key == "aws:PrincipalArn":
        named = _is_named(subject, listed(value), role)
        wildcard = any("*" in each for each in listed(value))
        return {
            "ArnEquals": named,
            "ArnNotEquals": not named and not wildcard,
            "StringNotEquals": not named,
            "Null": value == "false",
        }.get(operator, False)
    return False


def _is_named(subject: Subject, who: list[str], role: Role) -> bool:
    return any(role.resource in subject.graph.referred(each, ":Role") for each in who)


def _volumes(task: Resource) -> list[Any]:
    found = task.inputs.get("volumes")
    return [each for each in found if at(each, "efsVolumeConfiguration")] if isinstance(found, list) else []


def _task(subject: Subject, task: Resource) -> Iterator[Broken]:
    """How a task on Fargate mounts a share, and whose folder it can write."""
    for volume in _volumes(task):
        name = f"volume {at(volume, 'name')} of {task.name}"
        how = at(volume, "efsVolumeConfiguration")
        for path, what in (
            ("transitEncryption", "is mounted without TLS"),
            ("authorizationConfig.iam", "is mounted in nobody's name"),
        ):
            value = at(how, path)
            if unknown(value):
                yield Broken(f"{name}: {path} is not known yet", task, "undecided")
            elif value != "ENABLED":
                yield Broken(f"{name} {what}", task)
        if not at(how, "authorizationConfig.accessPointId"):
            yield Broken(f"{name} is the whole file system, by no access point", task)
    for mode, key in (("sealer", "records"), ("gateway", "audit.seals")):
        for resource, config in configured(subject, mode):
            folder = at(config, key)
            if resource is not task or not folder:
                continue
            for box in containers(task) or []:
                for mount in box.get("mountPoints") or []:
                    if at(mount, "containerPath") == folder and at(mount, "readOnly") is not True:
                        yield Broken(f"{task.name} can write {folder}, which is another's to write", task)


RULES = (
    Rule(
        "audit/sealers-seal-alone",
        "In AWS a sealer's role is its own and puts seals, and nobody else's puts or deletes any",
        "critical",
        (*fw.nist("AU-9(4)", "AC-5", "AC-6"), *fw.pci("10.3.2"), *fw.iso_27001("A.5.3", "A.8.15")),
        "Whoever else may put into the store can seal what never was, and whoever may delete can hide what was",
        "Give the sealer a RecordsIdentity of its own, and take the audit bucket out of every other role's policies",
        _alone,
    ),
    Rule(
        "audit/share-apart",
        "On the share of records each folder is one user's to write, and mounted over TLS by named roles",
        "critical",
        (*fw.nist("AU-9(4)", "AC-3", "SC-8"), *fw.pci("10.3.2", "4.2.1"), *fw.iso_27001("A.8.3", "A.8.24")),
        "A gateway that can write seals, or anybody who can mount the share, decides what was",
        "Make the share by RecordsShare: an access point for each folder and user, and a policy that names them",
        _apart,
        (FILES, TASK),
    ),
)
