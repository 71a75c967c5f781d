"""What else must hold of every stack of ours: no key of AWS's, a trail out of reach, bare tasks, and whose is what."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.graph.iam import access_keys, audit_trail
from isthmus.graph.resources import tags
from isthmus.graph.workloads import fargate_tasks
from policies.data_path.paths import of_faults
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_OF_IDENTITY = re.compile(r"has no permissions boundary$|^anybody may become|is a user or group of IAM")


def _no_key(subject: Subject) -> Iterator[Broken]:
    return of_faults(access_keys.no_access_key(subject.graph))


def _out_of_reach(subject: Subject) -> Iterator[Broken]:
    # Roles without a boundary, that anybody may become, and users have rules of their own.
    found = audit_trail.nobody_switches_the_trail_off(subject.graph)
    return of_faults(each for each in found if not _OF_IDENTITY.search(each.text))


def _stands(subject: Subject) -> Iterator[Broken]:
    if subject.platform is not None:
        yield from of_faults(audit_trail.the_trail_stands(subject.graph, subject.platform))


def _bare(subject: Subject) -> Iterator[Broken]:
    return of_faults(fargate_tasks.bare(subject.graph))


def _tagged(subject: Subject) -> Iterator[Broken]:
    if subject.platform is not None:  # another team's program has tags of its own
        yield from of_faults(tags.everything_is_tagged(subject.graph))


RULES = (
    Rule(
        id="identity/no-access-keys",
        title="No AWS key is made, and none stands where pods read it",
        severity="critical",
        supports=(
            *fw.nist("IA-5", "AC-2"),
            *fw.cis_kubernetes("5.4.1"),
            *fw.iso_27001("A.5.17"),
            *fw.dora("Art. 9(4)(d)"),
        ),
        why="A key that stands somewhere works for whoever reads it, from anywhere, until someone notices",
        fix="Let pods become a role by certificate (Roles Anywhere) or by pod identity, and delete the key",
        check=_no_key,
    ),
    Rule(
        id="audit/trail-out-of-reach",
        title="Nobody that is made here can take the trail, its records, keys or alarms away",
        severity="critical",
        supports=(
            *fw.nist("AU-9", "AC-6"),
            *fw.pci("10.3.2"),
            *fw.fsbp("CloudTrail.4"),
            *fw.cis_aws("4.1", "4.2"),
            *fw.hipaa("164.312(c)(1)"),
            *fw.iso_27001("A.5.33", "A.8.15"),
        ),
        why="Who can stop the record can do the rest unseen",
        fix="Give the role a permissions boundary that denies these calls, and narrow its policies",
        check=_out_of_reach,
    ),
    Rule(
        id="audit/trail-stands",
        title="Every trail that the platform states is made",
        severity="high",
        supports=(*fw.nist("AU-2", "AU-12"), *fw.fsbp("CloudTrail.1"), *fw.iso_27001("A.8.15")),
        why="Without it nobody can say who called or changed what",
        fix="Take the trail's component back into the stack, or say `mode: existing` for one of the organisation's",
        check=_stands,
    ),
    Rule(
        id="workload/tasks-are-bare",
        title="Tasks on Fargate have nothing that a pod of ours would not",
        severity="high",
        supports=(*fw.nist("CM-7", "AC-6"), *fw.fsbp("ECS.5")),
        why="A task that can write to its root, or runs an image that can change, can become another program",
        fix="Set a read-only root, a user, no capabilities, and the image by its digest",
        check=_bare,
    ),
    Rule(
        id="audit/everything-is-tagged",
        title="Everything in AWS bears the stack's tags",
        severity="medium",
        supports=(*fw.nist("CM-8"), *fw.iso_27001("A.5.9")),
        why="What bears no tag is nobody's: drift, costs and a destroyed stack's leftovers are not found",
        fix="Make it in the stack's program, which tags all that it makes",
        check=_tagged,
    ),
)
