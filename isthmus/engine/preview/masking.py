"""Masks secrets in reports: values that the engine marks, inputs that are secret by type, and known secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.core.pulumi_values import MASK, OUTPUT, SECRET, SIGNATURE, UNKNOWN, UNKNOWNS

_CIPHERTEXT = re.compile(r"v1:[A-Za-z0-9+/]{8,}={0,2}:[A-Za-z0-9+/]{16,}={0,2}")
"""An encrypted value of a stack's configuration."""
_MIN_EMBEDDED_LENGTH = 6
"""Shorter secrets are masked only as a whole value, because they may occur inside ordinary words."""
_SECRET_INPUTS = {
    "kubernetes:core/v1:Secret": ("data", "stringData"),
    "kubernetes:core/v1:SecretPatch": ("data", "stringData"),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString", "secretBinary"),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "aws:ssm/parameter:Parameter": ("value", "insecureValue"),
    "pulumi:providers:kubernetes": ("kubeconfig",),
    "pulumi:providers:aws": ("accessKey", "secretKey", "token"),
}
"""Type → inputs that are secret, whether or not the program marked them."""


_SENSITIVE_WORDS = r"passw(?:or)?d|secret|token(?!s|iz)|api[_-]?key|private[_-]?key|access[_-]?key|credential"
_SECRET_NAME = re.compile(_SENSITIVE_WORDS, re.IGNORECASE)
_REFERENCE_ENDINGS = ("Name", "Ref", "Secrets", "Token", "Seconds", "secrets")
"""Name endings of fields that refer to a secret: `secretName`, `automountServiceAccountToken`."""
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}|PRIVATE KEY-----|\beyJ[\w-]{10,}\.[\w-]{10,}\.")
_SECRET_OPTION = re.compile(rf"(--?[\w-]*(?:{_SENSITIVE_WORDS})[\w-]*[= ])\S+", re.IGNORECASE)


class Masker:
    """Masks values. `known_secrets`: clear-text secrets, which are masked wherever they occur."""

    def __init__(self, known_secrets: Iterable[str] = ()) -> None:
        secrets = {part for secret in known_secrets for part in _spellings(secret)}
        self._whole = frozenset(secrets)
        within = sorted(
            (secret for secret in secrets if len(secret) >= _MIN_EMBEDDED_LENGTH),
            key=lambda secret: (-len(secret), secret),
        )
        self._within = re.compile("|".join(map(re.escape, within))) if within else None

    def inputs(self, type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The masked inputs of a resource, without internal keys (`__defaults`)."""
        secret = _SECRET_INPUTS.get(type_, ())
        return {
            key: _masked_map(value) if key in secret else self.value(value)
            for key, value in sorted(inputs.items())
            if not key.startswith("__")
        }

    def value(self, value: Any) -> Any:
        """The masked value; unknown values become `${unknown}`."""
        if isinstance(value, Mapping):
            mark = value.get(SIGNATURE)
            if mark == SECRET or (mark == OUTPUT and value.get("secret")):
                return MASK
            if mark == OUTPUT:
                return self.value(value.get("value", UNKNOWN))
            if mark is not None:
                return {str(key): self.value(item) for key, item in value.items() if key != SIGNATURE}
            return {
                self.text(str(key)): self.value(item) for key, item in value.items() if key != "__defaults"
            }
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self.text(value) if isinstance(value, str) else value

    def field(self, path: str, value: Any) -> Any:
        """A masked value of an object that others may have written. Also masks values whose name suggests a secret."""
        return _mask_named_secrets(self.value(value), bool(_SECRET_NAME.search(_name_in_path(path))))

    def text(self, text: str) -> str:
        """The text, with every known secret masked."""
        if text in UNKNOWNS:
            return UNKNOWN
        if not text.isascii():
            # A lone surrogate cannot be encoded, so no report could be written with it.
            text = text.encode("utf-8", "replace").decode()
        if text in self._whole:
            return MASK
        text = _CIPHERTEXT.sub(MASK, text)
        return self._within.sub(MASK, text) if self._within else text


def contains_mask(value: Any) -> bool:
    """Whether the value contains a mask."""
    if isinstance(value, str):
        return MASK in value
    if isinstance(value, Mapping):
        return any(contains_mask(member) for member in value.values())
    return isinstance(value, list) and any(contains_mask(member) for member in value)


def _mask_named_secrets(value: Any, hidden: bool = False) -> Any:
    """Mask variables, annotations and options whose name suggests a secret, and values that look like keys."""
    if isinstance(value, Mapping):
        variable = str(value.get("name", "")) if "value" in value else ""
        return {
            key: _mask_named_secrets(
                item,
                (key == "value" and bool(_SECRET_NAME.search(variable)))
                or (
                    isinstance(item, str)
                    and bool(_SECRET_NAME.search(key))
                    and not key.endswith(_REFERENCE_ENDINGS)
                ),
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_mask_named_secrets(item) for item in value]
    if not isinstance(value, str):
        return value
    if hidden or _SECRET_VALUE.search(value):
        return MASK
    return _SECRET_OPTION.sub(lambda match: f"{match[1]}{MASK}", value)


def _name_in_path(path: str) -> str:
    """The name in a path: X for `env["X"].value`; empty for a reference to a secret."""
    without_value = re.sub(r"\.value$", "", path)
    match = re.search(r'\["((?:[^"\\]|\\.)*)"\]$|([^.\[\]]+)$', without_value)
    name = (match[1] or match[2] or "") if match else ""
    return "" if name.endswith(_REFERENCE_ENDINGS) else name


def _masked_map(value: Any) -> Any:
    """The mask; a map of secrets keeps its keys."""
    return (
        {str(key): MASK for key in value} if isinstance(value, Mapping) and SIGNATURE not in value else MASK
    )


def _spellings(secret: str) -> Iterable[str]:
    """Forms in which a secret may occur: as is, JSON-escaped, in base64, and each text inside a JSON document."""
    import base64

    if not secret.strip():
        return
    yield secret
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()
    try:
        content = json.loads(secret)
    except ValueError:
        return
    for text in _texts_within(content):
        if text.strip():
            yield text


def _texts_within(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts_within(member)
