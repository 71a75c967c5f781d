"""IAM's own rule, for the forms that our policies use: a denial wins, else an allowance is needed."""

import fnmatch
from typing import Any


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def allowed(policy: dict[str, Any], action: str, resource: str = "arn:aws:x", **context: str) -> bool:
    """Whether a request passes; `context` by condition key, `:` and `/` and `-` written as `_`."""
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if _acts(statement, action)
        and _touches(statement, resource)
        and _holds(statement.get("Condition", {}), context)
    }
    return effects == {"Allow"}


def _acts(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return action not in statement["NotAction"]
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))


def _touches(statement: dict[str, Any], resource: str) -> bool:
    if "NotResource" in statement:
        return resource not in statement["NotResource"]
    patterns = listed(statement.get("Resource", "*"))
    return any(fnmatch.fnmatchcase(resource, pattern) for pattern in patterns)


def _holds(condition: dict[str, dict[str, Any]], context: dict[str, str]) -> bool:
    return all(
        _test(operator, context.get(condition_key(key)), listed(expected))
        for operator, tests in condition.items()
        for key, expected in tests.items()
    )


def condition_key(key: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in key)


def _test(operator: str, actual: str | None, expected: list[str]) -> bool:
    """A negated test holds of a key that the request does not have, the others do not."""
    match operator:
        case "StringEquals" | "ArnEquals":
            return actual in expected
        case "StringNotEquals" | "ArnNotEquals":
            return actual not in expected
        case "Null":
            return expected == ["true" if actual is None else "false"]
        case "Bool":
            return actual in expected
        case "ArnLike" | "StringLike":
            return actual is not None and any(fnmatch.fnmatchcase(actual, pattern) for pattern in expected)
        case "ArnNotLike":
            return actual is None or not any(fnmatch.fnmatchcase(actual, pattern) for pattern in expected)
    raise AssertionError(f"the tests cannot read {operator}")
