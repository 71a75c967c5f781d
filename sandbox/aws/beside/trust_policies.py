"""Evaluates whether a role's trust policy allows a service or a principal to assume the role.

Only the usual elements of trust policies are supported. An unsupported condition counts as not met for `Allow` and as
met for `Deny`, so that it never grants access.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE = "rolesanywhere.amazonaws.com"
ACTIONS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
"""Actions of every session of IAM Roles Anywhere (user guide, "trust model")."""


@dataclass(frozen=True)
class Caller:
    """A caller: the kind of principal (`Service`, `AWS`), and whether a principal in a policy means the caller."""

    kind: str
    named: Callable[[str], bool]


ROLES_ANYWHERE = Caller("Service", lambda principal: principal == SERVICE)


def allows(
    document: Mapping[str, Any],
    context: Mapping[str, str],
    caller: Caller = ROLES_ANYWHERE,
    actions: Iterable[str] = ACTIONS,
) -> bool:
    """Return True if the policy allows all actions.

    `context` holds the request's condition keys, `aws:SourceArn`, `aws:PrincipalTag/x509Subject/CN`, …
    """
    return all(_allowed(document, action, context, caller) for action in actions)


def _allowed(document: Mapping[str, Any], action: str, context: Mapping[str, str], caller: Caller) -> bool:
    allowed = False
    for statement in _as_list(document.get("Statement")):
        deny = statement.get("Effect") == "Deny"
        if not _applies_to(statement, action, deny, caller) or not _conditions_met(statement, context, deny):
            continue
        if deny:
            return False
        allowed = statement.get("Effect") == "Allow"
    return allowed


def _applies_to(statement: Mapping[str, Any], action: str, deny: bool, caller: Caller) -> bool:
    """Return True if a statement covers the caller and the action. `Not…` in a `Deny` covers everything."""
    if "NotAction" in statement or "NotPrincipal" in statement:
        return deny
    principal = statement.get("Principal")
    principals = _as_list(principal.get(caller.kind)) if isinstance(principal, dict) else []
    is_anyone = principal == "*" or (isinstance(principal, dict) and "*" in _as_list(principal.get("AWS")))
    # The principal "*" does not include service principals, except in a Deny.
    is_caller = any(caller.named(str(name)) for name in principals) or (
        is_anyone and (deny or caller.kind == "AWS")
    )
    is_action = any(
        _like(action.lower(), str(pattern).lower()) for pattern in _as_list(statement.get("Action"))
    )
    return is_caller and is_action


def _conditions_met(statement: Mapping[str, Any], context: Mapping[str, str], deny: bool) -> bool:
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, values in keys.items():
            is_met = _evaluate(operator, _get(context, key), [str(value) for value in _as_list(values)])
            if is_met is None:
                is_met = deny
            if not is_met:
                return False
    return True


def _get(context: Mapping[str, str], key: str) -> str | None:
    """Return the value of a condition key. Keys, and the tag names in them, are case-insensitive."""
    by_lower = {name.lower(): value for name, value in context.items()}
    return by_lower.get(key.lower())


def _equal(actual: str, expected: str) -> bool:
    return actual == expected


def _equal_ignoring_case(actual: str, expected: str) -> bool:
    return actual.lower() == expected.lower()


def _like(actual: str, pattern: str) -> bool:
    """Match a pattern with `*` and `?`. Brackets have no special meaning."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), actual) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_ignoring_case,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}


def _evaluate(operator: str, actual: str | None, expected_values: list[str]) -> bool | None:
    """Return True if the condition is met. None: the operator is not supported."""
    if operator == "Null":
        return any((value.lower() == "true") == (actual is None) for value in expected_values)
    name, negated = operator.removesuffix("IfExists"), False
    if name.startswith(("StringNot", "ArnNot")):
        name, negated = name.replace("Not", "", 1), True
    compare = _OPERATORS.get(name)
    if compare is None:
        return None
    if actual is None:
        # For a missing key, only `IfExists` and negated operators are met.
        return negated or operator.endswith("IfExists")
    return any(compare(actual, value) for value in expected_values) != negated


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
