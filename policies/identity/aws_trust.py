"""Rules for AWS trust: which accounts have access, from which networks, and what boundaries deny."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from isthmus.contracts.reference import aws_actions
from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.contracts.trust import Kind
from isthmus.graph.iam.permissions import Role, covers, roles
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, as_list
from policies.inputs.accounts import own_accounts
from policies.inputs.declared import IDENTITY, tag
from policies.inputs.documents import (
    RESOURCE_POLICY_KEYS,
    actions,
    conditions,
    principals,
    resources,
    statements,
)
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_ROLE = "aws:iam/role:Role"
_ACCOUNT = re.compile(r"(?:^|:)(\d{12})(?::|$)")
_RENDERED_ACCOUNT = "${aws.accountId}"
"""How a rendered stack writes its own account."""
_MODEL_CALLS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "sagemaker:InvokeEndpoint")
"""Calls that carry prompts."""
_NETWORK_KEYS = ("aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip")
"""Condition keys that limit a call to a network. Public addresses do not count: their owner can change."""
_AGREEMENT_KEYS = ("sts:externalid", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid")
"""Condition keys that show that another account is an agreed partner's, or the organisation's."""
_ADMIN_ASSOCIATION = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
DENIED_CALLS = tuple(
    call
    for call in (
        *aws_actions.STOP_TRAIL_ACTIONS,
        *aws_actions.STOP_MONITORING_ACTIONS,
        *aws_actions.DISABLE_KEY_ACTIONS,
        *aws_actions.OTHER_IDENTITY_ACTIONS,
    )
    if "*" not in call
)
"""Calls that every boundary must deny. Calls on records may be denied on the records' buckets only."""
_LIST_OF_CALLS = "all in docs/components-aws-identity.md"


def _trust_documents(subject: Subject) -> Iterator[tuple[Resource, str, list[dict[str, Any]]]]:
    """Trust and resource policies: resource, the verb for messages, statements."""
    for role in subject.graph.of(_ROLE):
        yield role, "assume", statements(role.inputs.get("assumeRolePolicy")) or []
    for resource in subject.graph.of(*RESOURCE_POLICY_KEYS):
        yield resource, "use", statements(resource.inputs.get(RESOURCE_POLICY_KEYS[resource.type])) or []


def _check_accounts(subject: Subject) -> Iterator[Violation]:
    own = own_accounts(subject)
    for resource, verb, document in _trust_documents(subject):
        for statement in document:
            if statement.get("Effect") != "Allow":
                continue
            agreed = {key.lower() for _, key, _ in conditions(statement)} & set(_AGREEMENT_KEYS)
            for principal in principals(statement):
                account = _ACCOUNT.search(principal)
                if account is None and is_unknown(principal) and not _is_own_principal(subject, principal):
                    yield Violation(
                        f"who may {verb} {resource.name} is not known before the change: {principal}",
                        resource,
                        "undecided",
                    )
                if account is None or account[1] in own:
                    continue
                if subject.trusts("accounts", account[1]) or subject.trusts("principals", principal):
                    continue
                problem = f"account {account[1]} may {verb} {resource.name}"
                entry: tuple[Kind, str] = ("accounts", account[1])
                if subject.platform is not None:
                    yield Violation(
                        f"{problem}: it is no site's `account_id`, and no account that {TRUST_FILE} names",
                        resource,
                        entry=entry,
                    )
                elif not agreed:
                    yield Violation(
                        f"{problem}, and it is not known whose account that is",
                        resource,
                        "undecided",
                        entry=entry,
                    )


def _documents_that_allow(subject: Subject) -> Iterator[Resource]:
    """Resources whose policy has an Allow statement with a principal; other rules cover unreadable policies."""
    for resource, _, document in _trust_documents(subject):
        if any(statement.get("Effect") == "Allow" and principals(statement) for statement in document):
            yield resource


def _is_own_principal(subject: Subject, principal: str) -> bool:
    """Whether a principal that is not known yet is a role or a sign-on of this stack, or of its own account.

    `data-path/known-aws-types` judges the sign-on itself, and `identity/trust-named` whom of its users a role lets in.
    """
    return _RENDERED_ACCOUNT in principal or any(
        subject.graph.referred(principal, kind)
        for kind in (":Role", ":OpenIdConnectProvider", ":SamlProvider")
    )


def _model_callers(subject: Subject) -> Iterator[tuple[Role, list[str]]]:
    """Roles that may call models, with those calls that are not limited to our networks."""
    for role in roles(subject.graph):
        sensitivity = tag(role.resource, CLASS)
        if sensitivity == "public" and not _carries_public_work(subject):
            continue  # the contract allows AWS's public names for public work only
        calls = [call for call in _MODEL_CALLS if _allows(role.policies, call)]
        if calls and not tag(role.resource, IDENTITY) and not sensitivity:
            calls = calls if _is_for_workloads(role.resource) else []
        if calls:
            yield role, [call for call in calls if not _is_bound_to_network(role.policies, call)]


def _check_networks(subject: Subject) -> Iterator[Violation]:
    for role, unbound_calls in _model_callers(subject):
        if unbound_calls:
            # An unknown policy may deny the call; `identity/can-be-read` reports each unknown policy.
            verdict = "undecided" if role.hidden else "violated"
            problem = f"{role.name} may {', '.join(unbound_calls)} from outside our networks"
            yield Violation(problem, role.resource, verdict)


def _caller_roles(subject: Subject) -> Iterator[Resource]:
    for role, unbound_calls in _model_callers(subject):
        if unbound_calls or not role.hidden:
            yield role.resource


def _carries_public_work(subject: Subject) -> bool:
    networks = subject.platform.networks if subject.platform else []
    return any(network.mode != "off" and "public" in network.classes for network in networks)


def _is_for_workloads(role: Resource) -> bool:
    """Whether services assume the role. For roles of people, single sign-on limits the networks."""
    names = [
        name
        for statement in statements(role.inputs.get("assumeRolePolicy")) or []
        for name in principals(statement)
    ]
    return any(name.endswith(".amazonaws.com") for name in names)


def _allows(document: Iterable[dict[str, Any]], call: str) -> bool:
    return any(
        statement.get("Effect") == "Allow" and any(covers(action, call) for action in actions(statement))
        for statement in document
    )


def _is_bound_to_network(document: list[dict[str, Any]], call: str) -> bool:
    """Whether a call is denied from other networks, or allowed only from named ones."""
    for statement in document:
        keys = {
            key.lower() for operator, key, _ in conditions(statement) if _decides_alone(statement, operator)
        }
        denies = (
            statement.get("Effect") == "Deny"
            and "*" in resources(statement)
            and len(list(conditions(statement))) == 1
        )
        if (
            denies
            and keys & set(_NETWORK_KEYS)
            and any(covers(action, call) for action in actions(statement))
        ):
            return True
    if _is_bound_by_profile(document, call):
        return True
    allowed = [
        statement
        for statement in document
        if statement.get("Effect") == "Allow" and any(covers(action, call) for action in actions(statement))
    ]
    return all(
        {key.lower() for operator, key, _ in conditions(statement) if _decides_alone(statement, operator)}
        & set(_NETWORK_KEYS)
        for statement in allowed
    )


def _is_bound_by_profile(document: list[dict[str, Any]], call: str) -> bool:
    """Whether two denials together limit a call that Bedrock routes to other regions.

    The first denies the call from other networks, except in some regions. The second denies it in exactly these
    regions unless it uses an application inference profile.
    """
    outside: set[str] = set()
    routed: set[str] = set()
    for statement in document:
        if statement.get("Effect") != "Deny" or "*" not in resources(statement):
            continue
        if not any(covers(action, call) for action in actions(statement)):
            continue
        tested = {(operator, key.lower()): value for operator, key, value in conditions(statement)}
        keys = {key for _, key in tested}
        if (
            len(tested) == 2
            and keys & set(_NETWORK_KEYS)
            and all(operator == "StringNotEquals" for operator, _ in tested)
        ):
            outside |= set(as_list(tested.get(("StringNotEquals", "aws:requestedregion"))))
        profiles = as_list(tested.get(("ArnNotLike", "bedrock:inferenceprofilearn")))
        if (
            len(tested) == 2
            and profiles
            and all(":application-inference-profile/" in arn for arn in profiles)
        ):
            routed |= set(as_list(tested.get(("StringEquals", "aws:requestedregion"))))
    return bool(outside) and outside <= routed


def _decides_alone(statement: dict[str, Any], operator: str) -> bool:
    """Whether a condition also decides when its key is missing. A denial must apply to a call without a network."""
    if statement.get("Effect") == "Deny":
        return "Not" in operator and not operator.endswith("IfExists")
    return "Not" not in operator and not operator.endswith("IfExists")


def _boundary_policies(subject: Subject) -> list[Resource]:
    """Policies that are the permissions boundary of a role in the graph, without duplicates."""
    boundary_arns = [role.inputs.get("permissionsBoundary") or "" for role in subject.graph.of(_ROLE)]
    return list(
        {
            policy.urn: policy for arn in boundary_arns for policy in subject.graph.referred(arn, ":Policy")
        }.values()
    )


def _check_boundary_denials(subject: Subject) -> Iterator[Violation]:
    for policy in _boundary_policies(subject):
        document = statements(policy.inputs.get("policy"))
        if document is None:
            yield Violation(
                f"the contents of boundary {policy.name} are not known before the change is made",
                policy,
                "undecided",
            )
            continue
        missing = missing_denials(document)
        if missing:
            more = f" and {len(missing) - 3} more ({_LIST_OF_CALLS})" if len(missing) > 3 else ""
            yield Violation(f"boundary {policy.name} does not deny {', '.join(missing[:3])}{more}", policy)


def missing_denials(document: list[dict[str, Any]]) -> list[str]:
    """Calls that every boundary must deny, and that this one does not."""
    return [call for call in DENIED_CALLS if not _denies(document, call)]


def _denies(document: list[dict[str, Any]], call: str) -> bool:
    return any(
        statement.get("Effect") == "Deny"
        and "*" in resources(statement)
        and not statement.get("Condition")
        and any(covers(action, call) for action in actions(statement))
        for statement in document
    )


def _cluster_admins(subject: Subject) -> Iterator[tuple[Resource, Any, bool]]:
    """Access associations of cluster administrators: resource, principal, whether the platform names the principal.

    Roles that this stack creates are left out if the platform does not name them: they are reviewed with the stack.
    """
    platform = subject.platform
    if platform is None:
        return
    stated_admins = {admin.principal for cluster in platform.clusters for admin in cluster.admins}
    for association in subject.graph.of(_ADMIN_ASSOCIATION):
        principal = at(association.inputs, "principalArn")
        if principal in stated_admins or not subject.graph.referred(principal or "", ":Role"):
            yield (
                association,
                principal,
                principal in stated_admins,
            )  # a role that is made here is reviewed here


def _check_admins(subject: Subject) -> Iterator[Violation]:
    for association, principal, is_stated in _cluster_admins(subject):
        if is_stated:
            continue
        if is_unknown(principal):
            yield Violation(
                f"who administers the cluster through {association.name} is not known yet",
                association,
                "undecided",
            )
        else:
            yield Violation(
                f"{principal} may administer {association.inputs.get('clusterName')}, but is no admin in the platform",
                association,
            )


RULES = (
    Rule(
        "identity/our-accounts",
        "Roles, keys, buckets, topics and secrets grant access only to the platform's and trusted accounts",
        "critical",
        (*fw.nist("AC-3", "AC-20"), *fw.fsbp("S3.6"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Whoever administers the other account decides who reads records and calls models, and none of "
        "our boundaries limits them",
        "Remove the account or write it as text; state the own one as `account_id` of its site; about another one,"
        " whoever answers for trust.yaml decides (accounts)",
        _check_accounts,
        (_ROLE, *RESOURCE_POLICY_KEYS),
        applies_to=_documents_that_allow,
    ),
    Rule(
        "identity/from-our-networks",
        "Identities that call models can do so only from our networks",
        "high",
        (*fw.nist("AC-3", "AC-2(11)"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "A stolen session would work from any machine, without passing the gateway or leaving a record",
        "Deny these calls on every resource where aws:SourceVpc is not the network's VPC",
        _check_networks,
        (_ROLE,),
        applies_to=_caller_roles,
    ),
    Rule(
        "identity/boundaries-deny",
        "Boundaries deny stopping the trail, its alarms and its keys",
        "high",
        (
            *fw.nist("AU-9", "AC-6(1)"),
            *fw.pci("10.3.2"),
            *fw.iso_27001("A.8.2", "A.8.15"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        "If a boundary only omits a call, the next statement that is added to it can allow the call",
        "Add a Deny statement for these calls on every resource to the boundary",
        _check_boundary_denials,
        ("aws:iam/policy:Policy",),
        applies_to=_boundary_policies,
    ),
    Rule(
        "identity/admins-stated",
        "The platform names every administrator of an EKS cluster",
        "critical",
        (*fw.nist("AC-2", "AC-6(5)"), *fw.pci("7.2.3"), *fw.iso_27001("A.8.2"), *fw.dora("Art. 9(4)(c)")),
        "An administrator can remove admission and network policies and read the secrets of every class",
        "Add the role to the cluster's `admins` in the platform, or remove the association",
        _check_admins,
        (_ADMIN_ASSOCIATION,),
        applies_to=first_of_rows(_cluster_admins),
    ),
)
