"""Foreign values written into every text field of a platform, as somebody would who looks for a way out.

A field is every text, or list of texts, that the schema of the overrides allows in an object of the platform, also one
that the platform does not state. Each gets every foreign value that its pattern takes; a list keeps what is in it.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.platform.model.platform import Platform

ACCOUNT = "444455556666"
ADDRESS = "52.94.7."
_DIGEST = "sha256:" + "0" * 64
FOREIGN = (
    f"{ADDRESS}9",
    f"{ADDRESS}0/24",
    f"http://{ADDRESS}9:3128",
    f"https://{ADDRESS}9:443",
    "https://evil.example/x",
    ACCOUNT,
    f"arn:aws:iam::{ACCOUNT}:role/evil",
    f"arn:aws:iam::{ACCOUNT}:policy/evil",
    f"arn:aws:iam::{ACCOUNT}:root",
    f"arn:aws:iam::{ACCOUNT}:saml-provider/evil",
    f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/evil",
    f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:evil-a1B2c3",
    f"arn:aws:rolesanywhere:eu-central-1:{ACCOUNT}:trust-anchor/evil",
    f"arn:aws:acm-pca:eu-central-1:{ACCOUNT}:certificate-authority/evil",
    f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:guardrail/evil",
    f"arn:aws:ce::{ACCOUNT}:anomalymonitor/e0",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/evil@{_DIGEST}",
    f"docker.io/evil/x@{_DIGEST}",
    "docker.io/evil/",
    "docker.io/evil",
    "oci://docker.io/evil/chart",
    "s3://evil-bucket/x/",
    "evil-bucket",
    "kube-system",
)
MARKS = (ACCOUNT, ADDRESS, "docker.io/evil", "evil-bucket", "evil.example", "kube-system")
"""Texts by which a foreign value is found again in what is rendered."""


@dataclass(frozen=True)
class Edit:
    """One field of one platform that gets one foreign value."""

    platform: str
    path: tuple[str | int, ...]
    value: Any

    def __str__(self) -> str:
        return f"{self.platform}: {'.'.join(map(str, self.path))} = {self.value!r}"

    def apply(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The edited platform; the document stays as it is."""
        edited: Any = copy.deepcopy(dict(document))
        part = edited
        for key in self.path[:-1]:
            part = part[key]
        last: Any = self.path[-1]
        part[last] = [*part.get(last, []), *self.value] if isinstance(self.value, list) else self.value
        return edited


def edits(name: str, document: Mapping[str, Any]) -> list[Edit]:
    """Every edit of a platform, in the order of its fields."""
    schema = Platform.model_json_schema(by_alias=True)
    return [
        Edit(name, path, [value] if is_list else value)
        for path, pattern, is_list in _fields(schema, schema, document, ())
        for value in FOREIGN
        if pattern is None or re.search(pattern, value)
    ]


def sample(all_edits: list[Edit], count: int, seed: str) -> list[Edit]:
    """So many of them, the same for the same seed."""
    return random.Random(seed).sample(all_edits, min(count, len(all_edits)))


def _fields(
    schema: Mapping[str, Any], part: Mapping[str, Any], value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str | None, bool]]:
    """Path, pattern and whether it is a list, of each field below a value."""
    for form in _forms(schema, part):
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _fields(schema, form.get("items", {}), item, (*path, index))
        if not isinstance(value, dict):
            continue
        for key, inner in form.get("properties", {}).items():
            for option in _forms(schema, inner):
                if "enum" in option or "const" in option:
                    continue
                if option.get("type") == "string" and "format" not in option:
                    yield (*path, key), option.get("pattern"), False
                if option.get("type") == "array":
                    for item in _forms(schema, option.get("items", {})):
                        if item.get("type") == "string" and "enum" not in item:
                            yield (*path, key), item.get("pattern"), True
            if key in value:
                yield from _fields(schema, inner, value[key], (*path, key))


def _forms(schema: Mapping[str, Any], part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms that a value may have, without references."""
    if "$ref" in part:
        return _forms(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
    options = part.get("anyOf") or part.get("oneOf")
    if options:
        return [form for option in options for form in _forms(schema, option)]
    return [part]
