"""Checks a resource's inputs and generates its name, before anything is created."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping
from typing import Any

from sandbox.aws.model import AutoName, Type
from sandbox.aws.schema import find_field_problems

DEFAULTS = "__defaults"
"""The input in which the plugin lists the inputs that it generated, as the real plugin does."""
_SUFFIX = 7


def check(
    kind: Type,
    name: str,
    news: Mapping[str, Any],
    olds: Mapping[str, Any] | None,
    seed: bytes,
    account_region: str,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the inputs to use, and their problems as (property, reason).

    `olds` are the inputs of the existing resource. None: it is new or will be replaced.
    """
    inputs = {key: value for key, value in news.items() if value is not None and not key.startswith("__")}
    failures = find_field_problems(kind.inputs, inputs, "", kind.token)
    for key, prop in kind.inputs.items():
        if prop.kind == "json" and isinstance(inputs.get(key), dict):
            inputs[key] = json.dumps(inputs[key])
    made_up: list[str] = []
    auto = kind.autoname
    if auto and auto.prop not in inputs and not (auto.prefix_prop and auto.prefix_prop in inputs):
        old = olds or {}
        if auto.prop in old and auto.prop in old.get(DEFAULTS, ()):
            inputs[auto.prop] = old[auto.prop]
        else:
            inputs[auto.prop] = automatic(auto, name, seed)
            if len(inputs[auto.prop]) > auto.longest:
                # The real plugin refuses a long name with these words; it does not cut it.
                reason = f"name '{name}' plus {_SUFFIX + 1} random chars is longer than maximum length {auto.longest}"
                failures.append((auto.prop, reason))
        made_up.append(auto.prop)
    elif auto and auto.prop in inputs and auto.prefix_prop and auto.prefix_prop in inputs:
        reason = f"`{auto.prop}` and `{auto.prefix_prop}` of {kind.token} cannot both be set."
        failures.append((auto.prefix_prop, reason))
    if kind.regional and "region" not in inputs and account_region:
        inputs["region"] = account_region
        made_up.append("region")
    inputs[DEFAULTS] = made_up
    return inputs, failures


def automatic(auto: AutoName, name: str, seed: bytes) -> str:
    """Return `<name>-<7 hex digits>`. The same seed gives the same name."""
    source = random.Random(seed) if seed else secrets.SystemRandom()  # noqa: S311 - a name, not a secret
    suffix = "".join(source.choice("0123456789abcdef") for _ in range(_SUFFIX))
    return f"{auto.shape(name)}-{suffix}"


def from_prefix(auto: AutoName, prefix: str) -> str:
    """Return a prefix with 26 more characters, as the real plugin does for `namePrefix` and `bucketPrefix`."""
    return auto.shape(prefix) + secrets.token_hex(13)
