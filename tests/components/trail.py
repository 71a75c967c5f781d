"""An audit store and its trail, as tests ask for them, in an account that is a member of an organisation."""

import copy
import json
from typing import Any

from pulumi.runtime import mocks

from components import AuditTrail
from tests.components.conftest import ACCOUNT, Engine

REGION = "eu-central-1"
MANAGER, ORGANISATION = "999999999999", "o-abc1234567"


class Account(Engine):
    """An account that is a member of an organisation; names that AWS makes up are the resources' own."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        id, inputs = super().new_resource(args)
        inputs.setdefault("name", args.name)
        return id, inputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token == "aws:organizations/getOrganization:getOrganization":
            return {"id": ORGANISATION, "masterAccountId": MANAGER}
        return super().call(args)


_BUILT: dict[str, Engine] = {}
"""What was built of which arguments: many tests read the same one."""


def audit(engine: Engine, **more: Any) -> None:
    defaults = {
        "name": "audit",
        "site": "frankfurt",
        "mode": "manage",
        "retention_days": 1826,
        "region": REGION,
    }
    arguments = {**defaults, **more}
    key = json.dumps([type(engine).__name__, arguments], sort_keys=True)
    if key not in _BUILT:
        engine.deploy(AuditTrail, "t", arguments)
        _BUILT[key] = engine
    built = copy.deepcopy(_BUILT[key])
    engine.made, engine.reads, engine.outputs = built.made, built.reads, built.outputs


def trailed(engine: Engine, store: dict[str, Any] | None = None, **more: Any) -> None:
    settings = {
        "mode": "manage",
        "organization": False,
        "retention_days": 1826,
        "notify": ["soc@bank.example"],
    }
    audit(engine, trail={**settings, **more}, **(store or {}))


def names(engine: Engine, kind: str) -> list[str]:
    """Sorted: what depends on nothing is registered in any order."""
    return sorted(resource.inputs["name"] for resource in engine.all(kind))


def trail_arn(engine: Engine, owner: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:cloudtrail:{region}:{owner}:trail/{engine.only('Trail').inputs['name']}"


def statements(engine: Engine, kind: str, name: str, key: str = "policy") -> dict[str, dict[str, Any]]:
    return {
        statement["Sid"]: statement
        for statement in json.loads(engine.only(kind, name).inputs[key])["Statement"]
    }
