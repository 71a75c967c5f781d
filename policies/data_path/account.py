"""Rules for the whole stack: no access keys, a protected trail, hardened tasks, tags on everything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.graph.iam import access_keys, audit_trail
from isthmus.graph.resources import tags
from isthmus.graph.workloads import fargate_tasks
from policies.data_path.paths import violations_from_faults
from policies.inputs.selectors import stack_in_aws, stack_with
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_COVERED_BY_IDENTITY_RULES = re.compile(
    r"has no permissions boundary$|^anybody may become|is a user or group of IAM"
)


def _check_no_access_keys(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(access_keys.no_access_key(subject.graph))


def _stack_with_resources(subject: Subject) -> Applicable:
    return [None] if subject.graph.resources else []


def _check_trail_protected(subject: Subject) -> Iterator[Violation]:
    # Rules of `policies.identity` report roles without a boundary, open trust policies and users.
    faults = audit_trail.nobody_switches_the_trail_off(subject.graph)
    return violations_from_faults(
        fault for fault in faults if not _COVERED_BY_IDENTITY_RULES.search(fault.text)
    )


def _check_trails_made(subject: Subject) -> Iterator[Violation]:
    if subject.platform is not None:
        yield from violations_from_faults(audit_trail.the_trail_stands(subject.graph, subject.platform))


def _stack_with_managed_trails(subject: Subject) -> Applicable:
    trails = subject.platform.trails if subject.platform else []
    return [None] if any(trail.mode == "manage" for trail in trails) else []


def _check_tasks_hardened(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(fargate_tasks.bare_tasks(subject.graph))


def _check_tagged(subject: Subject) -> Iterator[Violation]:
    if subject.platform is not None:  # another team's program has its own tags
        yield from violations_from_faults(tags.everything_is_tagged(subject.graph))


def _platform_in_aws(subject: Subject) -> Applicable:
    """The stack as a whole, if it has a platform and resources in AWS."""
    return stack_in_aws(subject) if subject.platform else []


RULES = (
    Rule(
        id="identity/no-access-keys",
        title="No AWS access key is created or readable by pods",
        severity="critical",
        supports=(
            *fw.nist("IA-5", "AC-2"),
            *fw.cis_kubernetes("5.4.1"),
            *fw.iso_27001("A.5.17"),
            *fw.dora("Art. 9(4)(d)"),
        ),
        why="A leaked access key works for anyone, from anywhere, until somebody notices",
        fix="Let pods assume a role by certificate (Roles Anywhere) or pod identity, and delete the key",
        check=_check_no_access_keys,
        applies_to=_stack_with_resources,
    ),
    Rule(
        id="audit/trail-out-of-reach",
        title="No identity of this stack can disable the trail, its records, keys or alarms",
        severity="critical",
        supports=(
            *fw.nist("AU-9", "AC-6"),
            *fw.pci("10.3.2"),
            *fw.fsbp("CloudTrail.4"),
            *fw.cis_aws("4.1", "4.2"),
            *fw.hipaa("164.312(c)(1)"),
            *fw.iso_27001("A.5.33", "A.8.15"),
        ),
        why="Whoever can stop the trail can do everything else unseen",
        fix="Let a role's boundary deny these calls, and narrow its policies; let a key's policy name the actions",
        check=_check_trail_protected,
        applies_to=stack_in_aws,
    ),
    Rule(
        id="audit/trail-stands",
        title="Every trail that the platform states is created",
        severity="critical",
        supports=(*fw.nist("AU-2", "AU-12"), *fw.fsbp("CloudTrail.1"), *fw.iso_27001("A.8.15")),
        why="Without the trail nobody can tell who called or changed what",
        fix="Add the trail's component to the stack, or set `mode: existing` for a trail of the organisation",
        check=_check_trails_made,
        applies_to=_stack_with_managed_trails,
    ),
    Rule(
        id="workload/tasks-are-bare",
        title="Fargate tasks are hardened like pods",
        severity="high",
        supports=(*fw.nist("CM-7", "AC-6"), *fw.fsbp("ECS.5")),
        why="A task that can write to its root, or whose image can change, can run other code",
        fix="Set a read-only root, a user, no capabilities, and the image by digest",
        check=_check_tasks_hardened,
        applies_to=stack_with("aws:ecs/taskDefinition:TaskDefinition"),
    ),
    Rule(
        id="audit/everything-is-tagged",
        title="Every AWS resource carries the stack's tags",
        severity="medium",
        supports=(*fw.nist("CM-8"), *fw.iso_27001("A.5.9")),
        why="Drift, costs and leftovers of untagged resources cannot be found",
        fix="Create the resource in the stack's program, which tags everything",
        check=_check_tagged,
        applies_to=_platform_in_aws,
    ),
)
