"""Turns a rendering into the state of a deployed stack: values that only AWS or a cluster generates are filled in."""

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
    for resource in resources:
        inputs = json.loads(_known_values(json.dumps(resource.inputs), outputs))
        entries.append((resource, inputs))
    entries_of_state = [
        {
            "urn": resource.urn,
            "type": resource.type,
            "custom": resource.custom,
            "id": _id(resource.name),
            "inputs": {"__defaults": [], **inputs},
            "outputs": {**inputs, **outputs.get(resource.name, {})},
            "parent": resource.parent or "urn:pulumi:s::p::pulumi:pulumi:Stack::s",
            "provider": f"{resource.provider}::0123" if resource.provider else "",
            "dependencies": resource.dependencies,
            "propertyDependencies": resource.property_dependencies,
            **({"external": True} if "read" in resource.options else {}),
        }
        for resource, inputs in entries
    ]
    return {"version": 3, "deployment": {"resources": entries_of_state}}


def _id(name: str) -> str:
    return f"thing-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def _known_values(text: str, outputs: dict[str, dict[str, Any]]) -> str:
    def host(match: re.Match[str]) -> str:
        name = f"{_id(match[1])}-wxgufsrl.{match[2]}"
        outputs.setdefault(match[1], {})["dnsEntries"] = [{"dnsName": name}]
        return name

    def arn(match: re.Match[str]) -> str:
        value = f"arn:aws:{match[1]}:eu-central-1:{ACCOUNT}:{_id(match[2])[6:]}/{match[3]}"
        outputs.setdefault(match[2], {})[match[3]] = value
        return value

    def name(match: re.Match[str]) -> str:
        if match[1] == "aws":
            return ACCOUNT
        if match[2] == "id":
            return _id(match[1])
        if match[2] == "clusterIP":
            number = int(hashlib.sha256(match[1].encode()).hexdigest(), 16)
            address = f"10.0.{number // 250 % 250}.{number % 250}"
            outputs.setdefault(match[1], {})["spec"] = {"clusterIP": address}
            return address
        value = f"{match[2].lower()}-{hashlib.sha256(match[0].encode()).hexdigest()[:17]}"
        outputs.setdefault(match[1], {})[match[2]] = value
        return value

    return _NAME.sub(name, _ARN.sub(arn, _HOST.sub(host, text)))
