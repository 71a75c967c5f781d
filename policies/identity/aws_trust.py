"""Identity in AWS: whose accounts are let in, from where an identity works, and what its boundary keeps from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference import aws_actions
from isthmus.graph.iam.permissions import Role, covers, roles
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Graph, Resource, listed
from policies.identity.aws_permissions import BY_RESOURCE
from policies.inputs.declared import IDENTITY, tag
from policies.inputs.documents import actions, conditions, principals, resources, statements
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_ROLE = "aws:iam/role:Role"
_ACCOUNT = re.compile(r"(?:^|:)(\d{12})(?::|$)")
_ROOT = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?$")
_OWN = "${aws.accountId}"
"""As a rendering writes the account that all is made in."""
_KEY = "aws:kms/key:Key"
_CALLS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "sagemaker:InvokeEndpoint")
"""Calls that carry prompts."""
_FROM = ("aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip")
"""Condition keys by which a call is held to a network. An address of the internet may be anybody's tomorrow."""
_TOLD = ("sts:externalid", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid")
"""Condition keys by which another account is one that was agreed with, or the organisation's."""
_ADMINS = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
_KEPT = tuple(
    each
    for each in (*aws_actions.TRAIL, *aws_actions.WATCH, *aws_actions.KEYS, *aws_actions.ONWARD)
    if "*" not in each
)
"""Calls that every boundary denies. Those on records may be denied on the records' buckets alone."""
_STATED: WeakKeyDictionary[Graph, tuple[object, frozenset[str]]] = WeakKeyDictionary()


def _accounts(subject: Subject) -> frozenset[str]:
    """Accounts that the platform's own words name (sites', roles', registries'), and the one that all is made in."""
    known = _STATED.get(subject.graph)
    if known is None or known[0] is not subject.platform:
        sites = subject.platform.sites if subject.platform else []
        own = frozenset[str]() if any(each.account_id for each in sites) else _own(subject.graph)
        known = _STATED[subject.graph] = (subject.platform, _named(subject.platform) | own)
    return known[1]


def _own(graph: Graph) -> frozenset[str]:
    """The account that keys are made in, which a platform need not state: every key's policy lets its own account in,
    or AWS refuses it. None where keys do not agree on one."""
    let: list[set[str]] = []
    for key in graph.of(_KEY):
        document = statements(key.inputs.get("policy"))
        allowed = (each for each in document or [] if each.get("Effect") == "Allow")
        if roots := {found[1] for each in allowed for who in principals(each) if (found := _ROOT.match(who))}:
            let.append(roots)
    common = set[str].intersection(*let) if let else set[str]()
    return frozenset(common) if len(common) == 1 else frozenset()


def _named(platform: Platform | None) -> frozenset[str]:
    if platform is None:
        return frozenset()
    return frozenset(
        re.findall(r"(?<!\d)\d{12}(?!\d)", json.dumps(platform.model_dump(mode="json", warnings=False)))
    )


def let_in(subject: Subject) -> Iterator[tuple[Resource, str, list[dict[str, Any]]]]:
    """Documents that say whom something lets in, each with what that lets them do."""
    for role in subject.graph.of(_ROLE):
        yield role, "become", statements(role.inputs.get("assumeRolePolicy")) or []
    for each in subject.graph.of(*BY_RESOURCE):
        yield each, "use", statements(each.inputs.get(BY_RESOURCE[each.type])) or []


def _our_accounts(subject: Subject) -> Iterator[Broken]:
    ours = _accounts(subject)
    for resource, may, document in let_in(subject):
        for statement in document:
            if statement.get("Effect") != "Allow":
                continue
            agreed = {key.lower() for _, key, _ in conditions(statement)} & set(_TOLD)
            for who in principals(statement):
                account = _ACCOUNT.search(who)
                if account is None and unknown(who) and not _made_here(subject, who):
                    yield Broken(f"who may {may} {resource.name} is not known yet", resource, "undecided")
                if account is None or account[1] in ours:
                    continue
                said = f"account {account[1]} may {may} {resource.name}"
                if subject.platform is not None:
                    yield Broken(f"{said}, and the platform names no such account", resource)
                elif not agreed:
                    yield Broken(f"{said}, and nothing says whose it is", resource, "undecided")


def _made_here(subject: Subject, who: str) -> bool:
    """Whether a principal that is not known yet is a role of this stack, or of the account that it is made in."""
    return _OWN in who or bool(subject.graph.referred(who, ":Role"))


def callers(subject: Subject) -> Iterator[tuple[Role, list[str]]]:
    """Roles that may call models, with the calls that nothing holds to our networks."""
    for role in roles(subject.graph):
        class_ = tag(role.resource, CLASS)
        if class_ == "public" and not _carried(subject):
            continue  # by the contract, public work alone may go by AWS's public names
        called = [call for call in _CALLS if _allows(role.policies, call)]
        if called and not tag(role.resource, IDENTITY) and not class_:
            called = called if _for_workloads(role.resource) else []
        if called:
            yield role, [call for call in called if not _held(role.policies, call)]


def _from_our_network(subject: Subject) -> Iterator[Broken]:
    for role, loose in callers(subject):
        if loose:
            # What is not known yet may deny it; that it is not known, `identity/can-be-read` says of each document.
            verdict = "undecided" if role.hidden else "violated"
            said = f"{role.name} may {', '.join(loose)} from outside our networks"
            yield Broken(said, role.resource, verdict)


def _carried(subject: Subject) -> bool:
    every = subject.platform.networks if subject.platform else []
    return any(one.mode != "off" and "public" in one.classes for one in every)


def _for_workloads(role: Resource) -> bool:
    """Whether a role is a program's, by who may become it: of people, their sign-on says from where."""
    who = [one for each in statements(role.inputs.get("assumeRolePolicy")) or [] for one in principals(each)]
    return any(one.endswith(".amazonaws.com") for one in who)


def _allows(document: Iterable[dict[str, Any]], call: str) -> bool:
    return any(
        each.get("Effect") == "Allow" and any(covers(action, call) for action in actions(each))
        for each in document
    )


def _held(document: list[dict[str, Any]], call: str) -> bool:
    """Whether a call is denied from elsewhere, or allowed from named networks only."""
    for each in document:
        keys = {key.lower() for operator, key, _ in conditions(each) if _tests(each, operator)}
        denies = each.get("Effect") == "Deny" and "*" in resources(each) and len(list(conditions(each))) == 1
        if denies and keys & set(_FROM) and any(covers(action, call) for action in actions(each)):
            return True
    if _held_where_it_is_made(document, call):
        return True
    allowed = [
        each
        for each in document
        if each.get("Effect") == "Allow" and any(covers(action, call) for action in actions(each))
    ]
    return all(
        {key.lower() for operator, key, _ in conditions(each) if _tests(each, operator)} & set(_FROM)
        for each in allowed
    )


def _held_where_it_is_made(document: list[dict[str, Any]], call: str) -> bool:
    """Whether a call is denied from elsewhere but in regions to which Bedrock routes it, and there past its profile.

    Two denials together: one but for some regions, one in these very regions for what names no application profile.
    """
    outside: set[str] = set()
    routed: set[str] = set()
    for each in document:
        if each.get("Effect") != "Deny" or "*" not in resources(each):
            continue
        if not any(covers(action, call) for action in actions(each)):
            continue
        found = {(operator, key.lower()): value for operator, key, value in conditions(each)}
        keys = {key for _, key in found}
        if (
            len(found) == 2
            and keys & set(_FROM)
            and all(operator == "StringNotEquals" for operator, _ in found)
        ):
            outside |= set(listed(found.get(("StringNotEquals", "aws:requestedregion"))))
        profiles = listed(found.get(("ArnNotLike", "bedrock:inferenceprofilearn")))
        if len(found) == 2 and profiles and all(":application-inference-profile/" in arn for arn in profiles):
            routed |= set(listed(found.get(("StringEquals", "aws:requestedregion"))))
    return bool(outside) and outside <= routed


def _tests(statement: dict[str, Any], operator: str) -> bool:
    """Whether an operator decides without the key as well: who denies must deny a call that names no network."""
    if statement.get("Effect") == "Deny":
        return "Not" in operator and not operator.endswith("IfExists")
    return "Not" not in operator and not operator.endswith("IfExists")


def boundaries(subject: Subject) -> list[Resource]:
    """Policies that bound a role of the graph, each once."""
    named = [role.inputs.get("permissionsBoundary") or "" for role in subject.graph.of(_ROLE)]
    return list({each.urn: each for one in named for each in subject.graph.referred(one, ":Policy")}.values())


def _boundaries_deny(subject: Subject) -> Iterator[Broken]:
    for policy in boundaries(subject):
        document = statements(policy.inputs.get("policy"))
        if document is None:
            yield Broken(f"what {policy.name} denies is not known before the change", policy, "undecided")
            continue
        left = [call for call in _KEPT if not _denied(document, call)]
        if left:
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            yield Broken(f"boundary {policy.name} does not deny {', '.join(left[:3])}{more}", policy)


def _denied(document: list[dict[str, Any]], call: str) -> bool:
    return any(
        each.get("Effect") == "Deny"
        and "*" in resources(each)
        and not each.get("Condition")
        and any(covers(action, call) for action in actions(each))
        for each in document
    )


def admins(subject: Subject) -> Iterator[tuple[Resource, Any, bool]]:
    """Who administers a cluster, and whether the platform names him."""
    platform = subject.platform
    if platform is None:
        return
    named = {admin.principal for cluster in platform.clusters for admin in cluster.admins}
    for each in subject.graph.of(_ADMINS):
        who = at(each.inputs, "principalArn")
        if who in named or not subject.graph.referred(who or "", ":Role"):
            yield each, who, who in named  # a role that is made here is reviewed here


def _admins_stated(subject: Subject) -> Iterator[Broken]:
    for each, who, named in admins(subject):
        if named:
            continue
        if unknown(who):
            yield Broken(f"whom {each.name} lets administer is not known yet", each, "undecided")
        else:
            yield Broken(
                f"{who} may administer {each.inputs.get('clusterName')} without the platform's word", each
            )


RULES = (
    Rule(
        "identity/our-accounts",
        "Roles, keys, buckets, topics and secrets let in accounts that the platform names",
        "critical",
        (*fw.nist("AC-3", "AC-20"), *fw.fsbp("S3.6"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Whoever governs the other account decides who reads records and calls models; no boundary of ours holds him",
        "Take the account out, or name it in the platform; a partner's is held by sts:ExternalId",
        _our_accounts,
        (_ROLE, *BY_RESOURCE),
    ),
    Rule(
        "identity/from-our-networks",
        "Identities that call models work from our networks alone",
        "high",
        (*fw.nist("AC-3", "AC-2(11)"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "A session that was carried off works from the thief's machine, past gateway and record",
        "Deny the calls where aws:SourceVpc is not the network's, on every resource",
        _from_our_network,
        (_ROLE,),
    ),
    Rule(
        "identity/boundaries-deny",
        "Boundaries deny what ends the trail, the watch and the keys",
        "high",
        (
            *fw.nist("AU-9", "AC-6(1)"),
            *fw.pci("10.3.2"),
            *fw.iso_27001("A.8.2", "A.8.15"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        "What a boundary merely leaves out, the next line that is added to it allows",
        "Deny these calls on every resource, above all that the boundary allows",
        _boundaries_deny,
        ("aws:iam/policy:Policy",),
    ),
    Rule(
        "identity/admins-stated",
        "Who administers a cluster in AWS is whom the platform names",
        "critical",
        (*fw.nist("AC-2", "AC-6(5)"), *fw.pci("7.2.3"), *fw.iso_27001("A.8.2"), *fw.dora("Art. 9(4)(c)")),
        "An administrator takes admission and network policies away, and reads every class's secrets",
        "Name the role in the cluster's admins, or take the association away",
        _admins_stated,
        (_ADMINS,),
    ),
)
