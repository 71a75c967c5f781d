"""A rendering as the state of a stack that stands: what only a cloud could give, given."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from isthmus.engine.render.recorder import Resource

ACCOUNT = "123456789012"
_ARN = re.compile(r"arn:aws:([a-z0-9-]+):::\$\{([^.${}]+)\.([^${}]+)\}")
_NAME = re.compile(r"\$\{([^.${}]+)\.([^${}]+)\}")
_HOST = re.compile(r"vpce-\$\{([^.${}]+)\.id\}\.([a-z0-9.-]+amazonaws\.com)")


def deployed(resources: Iterable[Resource]) -> dict[str, Any]:
    """What `pulumi stack export` would write of these, had a cloud made them."""
    outputs: dict[str, dict[str, Any]] = {}
    entries = []
    for each in resources:
        inputs = json.loads(_given(json.dumps(each.inputs), outputs))
        entries.append((each, inputs))
    made = [
        {
            "urn": each.urn,
            "type": each.type,
            "custom": each.custom,
            "id": _id(each.name),
            "inputs": {"__defaults": [], **inputs},
            "outputs": {**inputs, **outputs.get(each.name, {})},
            "parent": each.parent or "urn:pulumi:s::p::pulumi:pulumi:Stack::s",
            "provider": f"{each.provider}::0123" if each.provider else "",
            "dependencies": each.dependencies,
            "propertyDependencies": each.property_dependencies,
            **({"external": True} if "read" in each.options else {}),
        }
        for each, inputs in entries
    ]
    return {"version": 3, "deployment": {"resources": made}}


def _id(name: str) -> str:
    return f"thing-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def _given(text: str, outputs: dict[str, dict[str, Any]]) -> str:
    def host(found: re.Match[str]) -> str:
        name = f"{_id(found[1])}-wxgufsrl.{found[2]}"
        outputs.setdefault(found[1], {})["dnsEntries"] = [{"dnsName": name}]
        return name

    def arn(found: re.Match[str]) -> str:
        value = f"arn:aws:{found[1]}:eu-central-1:{ACCOUNT}:{_id(found[2])[6:]}/{found[3]}"
        outputs.setdefault(found[2], {})[found[3]] = value
        return value

    def name(found: re.Match[str]) -> str:
        if found[1] == "aws":
            return ACCOUNT
        if found[2] == "id":
            return _id(found[1])
        value = f"{found[2].lower()}-{hashlib.sha256(found[0].encode()).hexdigest()[:17]}"
        outputs.setdefault(found[1], {})[found[2]] = value
        return value

    return _NAME.sub(name, _ARN.sub(arn, _HOST.sub(host, text)))
