"""An inline policy that no state knows is seen by the count: it would keep its permissions on its role."""

from __future__ import annotations

from typing import Any

from tests.accounting import aws


class Iam:
    """A client that says one role with two inline policies, and of all else nothing."""

    def can_paginate(self, operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Any:
        answers: dict[str, Any] = {
            "list_roles": {"Roles": [{"RoleName": "writer"}]},
            "list_role_policies": {"PolicyNames": ["written", "orphan"]},
        }
        return lambda **params: answers.get(operation, {})


def test_an_orphaned_inline_policy_is_counted_and_listed_as_a_state_has_it():
    state = [{"type": aws.INLINE, "id": "writer:written", "custom": True}]
    assert aws.strange(state) == set()
    listed = aws.listed(lambda service: Iam())[aws.INLINE]
    assert listed - aws.in_state(state)[aws.INLINE] == {"writer:orphan"}
    assert aws.counted(lambda service: Iam())[aws.INLINE] == 2
