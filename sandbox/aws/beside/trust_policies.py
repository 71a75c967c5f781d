"""Whether a role's trust policy lets someone assume it: a service, or a principal of an account.

Only what such policies are made of is understood; a condition that is not never holds for an `Allow` and
always for a `Deny`, so that nothing is granted by not being understood.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE = "rolesanywhere.amazonaws.com"
ACTIONS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
"""All three are asked for in every session of IAM Roles Anywhere (user guide, "trust model")."""


@dataclass(frozen=True)
class Asking:
    """Who asks: the kind of principal (`Service`, `AWS`), and whether one that a policy names is they."""

    kind: str
    named: Callable[[str], bool]


ROLES_ANYWHERE = Asking("Service", lambda principal: principal == SERVICE)


def allows(
    document: Mapping[str, Any],
    context: Mapping[str, str],
    asking: Asking = ROLES_ANYWHERE,
    actions: Iterable[str] = ACTIONS,
) -> bool:
    """`context` holds the request's condition keys, `aws:SourceArn`, `aws:PrincipalTag/x509Subject/CN`, …"""
    return all(_allowed(document, action, context, asking) for action in actions)


def _allowed(document: Mapping[str, Any], action: str, context: Mapping[str, str], asking: Asking) -> bool:
    allowed = False
    for statement in _list(document.get("Statement")):
        deny = statement.get("Effect") == "Deny"
        if not _about(statement, action, deny, asking) or not _holds(statement, context, deny):
            continue
        if deny:
            return False
        allowed = statement.get("Effect") == "Allow"
    return allowed


def _about(statement: Mapping[str, Any], action: str, deny: bool, asking: Asking) -> bool:
    """Whether it speaks of them and the action; `Not…` is understood in a `Deny` only, as all."""
    if "NotAction" in statement or "NotPrincipal" in statement:
        return deny
    principal = statement.get("Principal")
    named = _list(principal.get(asking.kind)) if isinstance(principal, dict) else []
    anyone = principal == "*" or (isinstance(principal, dict) and "*" in _list(principal.get("AWS")))
    # "*" as principal does not take in services' own calls, except to deny.
    mine = any(asking.named(str(one)) for one in named) or (anyone and (deny or asking.kind == "AWS"))
    meant = any(_like(action.lower(), str(one).lower()) for one in _list(statement.get("Action")))
    return mine and meant


def _holds(statement: Mapping[str, Any], context: Mapping[str, str], deny: bool) -> bool:
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, wanted in keys.items():
            found = _condition(operator, _get(context, key), [str(one) for one in _list(wanted)])
            if found is None:
                found = deny
            if not found:
                return False
    return True


def _get(context: Mapping[str, str], key: str) -> str | None:
    """Condition keys have no case; the part behind the slash is a tag's name, which has none either."""
    by_lower = {name.lower(): value for name, value in context.items()}
    return by_lower.get(key.lower())


def _equal(actual: str, wanted: str) -> bool:
    return actual == wanted


def _same_letters(actual: str, wanted: str) -> bool:
    return actual.lower() == wanted.lower()


def _like(actual: str, wanted: str) -> bool:
    """`*` and `?` only: a bracket is a bracket."""
    return re.fullmatch(fnmatch.translate(wanted.replace("[", "[[]")), actual) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _same_letters,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}


def _condition(operator: str, actual: str | None, wanted: list[str]) -> bool | None:
    """Whether it holds; None where the operator is not understood."""
    if operator == "Null":
        return any((one.lower() == "true") == (actual is None) for one in wanted)
    name, negated = operator.removesuffix("IfExists"), False
    if name.startswith(("StringNot", "ArnNot")):
        name, negated = name.replace("Not", "", 1), True
    compare = _OPERATORS.get(name)
    if compare is None:
        return None
    if actual is None:
        # A key that is absent: `IfExists` holds, so does a negation; nothing else does.
        return negated or operator.endswith("IfExists")
    return any(compare(actual, one) for one in wanted) != negated


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
