"""Which AWS accounts are a stack's own."""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources.resources import Graph
from policies.inputs.documents import principals, statements
from policies.rules.rule import Subject

_ACCOUNT = re.compile(r"(?:^|:)(\d{12})(?::|$)")
_ROOT = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?$")
_KEY = "aws:kms/key:Key"
_ACCOUNTS_CACHE: WeakKeyDictionary[Graph, tuple[object, frozenset[str]]] = WeakKeyDictionary()


def own_accounts(subject: Subject) -> frozenset[str]:
    """The accounts of the platform's sites; where no site states one, the stack's own account by its keys."""
    cached = _ACCOUNTS_CACHE.get(subject.graph)
    if cached is None or cached[0] is not subject.platform:
        sites = subject.platform.sites if subject.platform else []
        key_account = (
            frozenset[str]() if any(site.account_id for site in sites) else _account_of_keys(subject.graph)
        )
        cached = _ACCOUNTS_CACHE[subject.graph] = (
            subject.platform,
            _accounts_of_sites(subject.platform) | key_account,
        )
    return cached[1]


def _account_of_keys(graph: Graph) -> frozenset[str]:
    """The stack's own account, read from its keys: AWS requires every key policy to allow the key's own account.

    Empty if the keys do not agree on one account."""
    roots_by_key: list[set[str]] = []
    for key in graph.of(_KEY):
        document = statements(key.inputs.get("policy"))
        allowed = (statement for statement in document or [] if statement.get("Effect") == "Allow")
        if roots := {
            match[1]
            for statement in allowed
            for principal in principals(statement)
            if (match := _ROOT.match(principal))
        }:
            roots_by_key.append(roots)
    common = set[str].intersection(*roots_by_key) if roots_by_key else set[str]()
    return frozenset(common) if len(common) == 1 else frozenset()


def _accounts_of_sites(platform: Platform | None) -> frozenset[str]:
    """The accounts that sites state: `account_id`, else the account of the role by which the provider works there.

    Where no site states its account, that of the platform's SAML provider counts, which stands in the same account.
    """
    if platform is None:
        return frozenset()
    arns = [site.assume_role for site in platform.sites if not site.account_id]
    if platform.people is not None and not any(site.account_id for site in platform.sites):
        arns.append(platform.people.saml_provider)
    return frozenset(
        [
            *(site.account_id for site in platform.sites if site.account_id),
            *(match[1] for arn in arns if arn and (match := _ACCOUNT.search(arn))),
        ]
    )
