"""Rules for AWS resources of own code: what they replace, whom they let at classified data, which accounts they name.

AWS keeps one policy, encryption or version of a thing, and the last one wins. So a second one for a thing that the
platform makes or names replaces what the rules have read. Each needs an entry of `trust.yaml` (`objects`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.trust import Kind
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Resource, as_list
from policies.data_path import known_aws
from policies.data_path.known_kinds import is_trusted_type
from policies.inputs.accounts import own_accounts
from policies.inputs.aws_reach import classified_reach, is_grant, is_literal, is_of_component, roles_of_grant
from policies.inputs.documents import RESOURCE_POLICY_KEYS, conditions, principals, statements
from policies.inputs.values import is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_ROLE, _RECORD = "aws:iam/role:Role", "aws:route53/record:Record"
_EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
_TAKES_EVENTS = (":Topic", ":Queue", ":LogGroup")
_SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
_PEOPLES_PROTOCOLS = ("email", "email-json", "sms", "sqs")
_POLICIES = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy")
_SERVICES_OF_TARGETS = re.compile(r"arn:aws[\w-]*:(sns|sqs|logs):")
_BUCKET = "aws:s3/bucket:Bucket"
_HEX, _UUID = "0-9A-Fa-f", re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_ACCOUNT = re.compile(rf"(?<![{_HEX}])\d{{12}}(?![{_HEX}])")
_AROUND = re.compile(r"[^\s\"',\\]+")
"""A text without spaces and quotes, such as an ARN, a bucket's name or an image's."""
_ORGANISATIONS = ("aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths")


def _added(subject: Subject) -> Iterator[Resource]:
    """AWS resources of own code, in a stack with classified work in AWS."""
    if subject.platform is None or not classified_reach(subject):
        return
    for resource in subject.graph.resources:
        if resource.type.startswith("aws:") and not is_of_component(resource):
            yield resource


# --- What replaces the platform's, or lets somebody at its data


def _check_objects(subject: Subject) -> Iterator[Violation]:
    for resource in _added(subject):
        entry: tuple[Kind, str] = ("objects", resource.name)
        problem = next(_problems(subject, resource), "")
        if problem and not (subject.trusts(*entry) or is_trusted_type(subject, resource.type)):
            types: tuple[Kind, str] = ("resource_types", resource.type)
            yield Violation(
                f"{_named(resource)} {problem}", resource, "undecided", entry=entry, other_entries=(types,)
            )


def _named(resource: Resource) -> str:
    return f"{resource.name} ({resource.type.rpartition(':')[2]})"


def _problems(subject: Subject, resource: Resource) -> Iterator[str]:
    yield from _replaced(subject, resource)
    yield from _admitted(subject, resource)
    if resource.type == _EVENT_TARGET:
        arn = str(resource.inputs.get("arn") or "")
        is_known = any(subject.graph.referred(arn, kind) for kind in _TAKES_EVENTS)
        if not (is_known or _SERVICES_OF_TARGETS.match(arn)):
            yield (
                f"sends events of an account with classified work to {arn or 'a target that is not known'}, and only"
                " topics, queues and log groups are known to keep them"
            )
    protocol = resource.inputs.get("protocol")
    if resource.type == _SUBSCRIPTION and protocol not in _PEOPLES_PROTOCOLS:
        end = f"{resource.inputs.get('endpoint')} ({protocol})"
        yield f"sends alerts and events of an account with classified work to {end}"
    for policy in _unread(resource):
        yield f"has a policy that is not known before the change ({policy}), so nobody can tell what it opens"
    name = str(resource.inputs.get("name") or "").rstrip(".")
    hosts = {gateway.host for gateway in subject.platform.gateways} if subject.platform else set()
    covered = name in hosts or (name.startswith("*.") and any(str(host).endswith(name[1:]) for host in hosts))
    if resource.type == _RECORD and covered:
        yield f"answers {name}, so that callers of a gateway send their data to this address"


def _unread(resource: Resource) -> Iterator[str]:
    """Permissions that a resource gives and that cannot be read before the change."""
    inputs = resource.inputs
    policies = [inputs.get("policy")] if resource.type in _POLICIES else []
    policies += [
        part.get("policy")
        for part in list_or_empty(inputs.get("inlinePolicies"))
        if isinstance(part, Mapping)
    ]
    for policy in policies:
        if policy and statements(policy) is None and not undecided(policy):  # the engine knows it later
            yield str(policy)[:80]


def _replaced(subject: Subject, resource: Resource) -> Iterator[str]:
    for beginning, what in known_aws.SETS_OF_REGION.items():
        if resource.type.startswith(beginning):
            yield f"sets {what} of the region, of which AWS keeps one: it replaces or widens the platform's"
    keys, what = known_aws.SETS.get(resource.type, ((), ""))
    if resource.type.startswith(known_aws.SETS_OF_BUCKETS) and resource.type != _BUCKET:
        keys, what = ("bucket",), resource.type.rpartition(":")[2].removeprefix("Bucket")
    for key in keys:
        thing = resource.inputs.get(key)
        if thing and not _is_own_thing(subject, thing):
            yield (
                f"sets the {what} of {thing}, which own code does not make: AWS keeps one, so it replaces what the"
                " platform or its owner set for classified data"
            )


def _is_own_thing(subject: Subject, thing: Any) -> bool:
    """Whether own code makes the thing that a setting names."""
    things = subject.graph.referred(thing) or [
        other for other in _added(subject) if thing in map(other.inputs.get, ("bucket", "name"))
    ]
    return bool(things) and not any(map(is_of_component, things))


def _admitted(subject: Subject, resource: Resource) -> Iterator[str]:
    """Identities of own code that get to classified data, and grants to identities that own code does not make."""
    near = classified_reach(subject).get(resource.urn, "")
    if not near:
        return
    may_be = "may be of classified work" if is_literal(near) else "is of classified work"
    if ":policy/" in near:
        may_be = "may read classified data"
    if resource.type == _ROLE:
        who = ", ".join(_who_may_assume(resource)) or "whom its trust policy names"
        yield f"lets {who} get to {near}, which {may_be}: whoever acts as this role gets the data"
    elif is_grant(resource):
        roles = roles_of_grant(subject.graph, resource)
        if not roles or any(is_of_component(role) for role in roles):
            inputs = resource.inputs
            named = inputs.get("role") or inputs.get("roleName") or inputs.get("roles")
            yield f"gives {named}, which own code does not make, a right on {near}, which {may_be}"


def _who_may_assume(role: Resource) -> list[str]:
    document = statements(role.inputs.get("assumeRolePolicy")) or []
    return [name for entry in document if entry.get("Effect") == "Allow" for name in principals(entry)]


# --- Other accounts


def _check_accounts(subject: Subject) -> Iterator[Violation]:
    own = own_accounts(subject)
    for resource in _added(subject):
        if is_trusted_type(subject, resource.type):
            continue
        reported: set[str] = set()
        for text in _texts_without_principals(resource):
            for account, around in _accounts_in(text):
                if (
                    account not in own
                    and account not in reported
                    and not _is_trusted(subject, account, around)
                ):
                    reported.add(account)
                    yield Violation(
                        f"{_named(resource)} names account {account} ({around}), which is no site's `account_id`: what"
                        " this account with classified work hands it leaves the organisation's control",
                        resource,
                        "undecided",
                        entry=("accounts", account),
                    )
        for principal, who in _nameless_principals(resource):
            if not subject.trusts("principals", principal):
                yield Violation(
                    f"{_named(resource)} lets {who} in, and no account number tells whose that is",
                    resource,
                    "undecided",
                    entry=("principals", principal),
                )


def _texts_without_principals(resource: Resource) -> Iterator[str]:
    """Texts of the inputs without tags; of policies without principals, which `identity/our-accounts` compares."""
    judged = {"assumeRolePolicy"} if resource.type == _ROLE else {RESOURCE_POLICY_KEYS.get(resource.type, "")}
    for key, value in resource.inputs.items():
        if key in ("tags", "tagsAll"):
            continue
        if key in judged and (document := statements(value)):
            value = [
                {part: held for part, held in entry.items() if part != "Principal"} for entry in document
            ]
        yield json.dumps(value)


def _accounts_in(text: str) -> Iterator[tuple[str, str]]:
    """Account numbers in a text, with what is around each. The last part of a UUID is none."""
    for around in _AROUND.findall(text):
        for account in _ACCOUNT.findall(_UUID.sub("", around)):
            yield account, around.strip("[]{}")


def _is_trusted(subject: Subject, account: str, around: str) -> bool:
    kinds: tuple[Kind, ...] = ("principals", "keys", "buckets")
    return subject.trusts("accounts", account) or any(subject.trusts(kind, around) for kind in kinds)


def _nameless_principals(resource: Resource) -> Iterator[tuple[str, str]]:
    """Principals of trust and resource policies that AWS knows without an account number: value, words for it."""
    key = "assumeRolePolicy" if resource.type == _ROLE else RESOURCE_POLICY_KEYS.get(resource.type, "")
    for statement in statements(resource.inputs.get(key)) or []:
        if statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal")
        for kind, names in principal.items() if isinstance(principal, Mapping) else ():
            for name in as_list(names):
                if kind != "Service" and name != "*" and not (is_unknown(name) or _ACCOUNT.search(name)):
                    yield name, f"{_KIND_WORDS.get(kind, kind)} {name}"
        if "*" in principals(statement):
            for _, condition, value in conditions(statement):
                for organisation in as_list(value) if condition.lower() in _ORGANISATIONS else ():
                    if not is_unknown(organisation):
                        yield organisation, f"every principal of organisation {organisation}"


_KIND_WORDS = {"CanonicalUser": "the canonical user", "Federated": "users of", "AWS": "principal"}
"""Kind of a principal → how a message calls it."""


_CONTROLS = (*fw.nist("AC-4", "AC-3", "CM-3"), *fw.iso_27001("A.5.15", "A.8.9"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "data-path/own-aws-objects",
        "Own code in AWS replaces no setting of the platform and lets nobody at its data",
        "critical",
        _CONTROLS,
        "AWS keeps one policy of a thing, and the last one wins; a role gives its rights to whoever acts as it",
        "Remove it, or have who answers for the class's data add its name to trust.yaml (objects)",
        _check_objects,
        applies_to=_added,
    ),
    Rule(
        "data-path/own-aws-accounts",
        "Own code in AWS names only the platform's and trusted accounts and organisations",
        "critical",
        (*fw.nist("AC-4", "AC-20", "CA-3"), *fw.iso_27001("A.5.19", "A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "A bucket, key, topic or stream of another account gets what the account with classified work sends there",
        "Name one of your own; state the own account as `account_id` of its site; about another one, whoever answers"
        " for trust.yaml decides (accounts)",
        _check_accounts,
        applies_to=_added,
    ),
)
