"""No secret in what is shown of a change: what the engine marks, what Kubernetes keeps as one, what is known as one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.core.pulumi_values import MASK, OUTPUT, SECRET, SIGNATURE, UNKNOWN, UNKNOWNS

_CIPHERTEXT = re.compile(r"v1:[A-Za-z0-9+/]{8,}={0,2}:[A-Za-z0-9+/]{16,}={0,2}")
"""An encrypted value of a stack's configuration."""
_MIN_EMBEDDED_LENGTH = 6
"""A shorter secret is masked where it is the whole value only: it would be found in many a word."""
_SECRET_INPUTS = {
    "kubernetes:core/v1:Secret": ("data", "stringData"),
    "kubernetes:core/v1:SecretPatch": ("data", "stringData"),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString", "secretBinary"),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "aws:ssm/parameter:Parameter": ("value", "insecureValue"),
    "pulumi:providers:kubernetes": ("kubeconfig",),
    "pulumi:providers:aws": ("accessKey", "secretKey", "token"),
}
"""Type → inputs that are secrets, whether their maker has marked them or not."""


_SECRET_NAMES = r"passw(?:or)?d|secret|token(?!s|iz)|api[_-]?key|private[_-]?key|access[_-]?key|credential"
_SECRET_NAME = re.compile(_SECRET_NAMES, re.IGNORECASE)
_REFERENCE_ENDINGS = ("Name", "Ref", "Secrets", "Token", "Seconds", "secrets")
"""How the names of fields end that say which secret, or whether: `secretName`, `automountServiceAccountToken`."""
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}|PRIVATE KEY-----|\beyJ[\w-]{10,}\.[\w-]{10,}\.")
_SECRET_OPTION = re.compile(rf"(--?[\w-]*(?:{_SECRET_NAMES})[\w-]*[= ])\S+", re.IGNORECASE)


class Masker:
    """Masks values; `known` are secrets in the clear, which are looked for wherever they stand."""

    def __init__(self, known_secrets: Iterable[str] = ()) -> None:
        secrets = {part for secret in known_secrets for part in _spellings(secret)}
        self._whole = frozenset(secrets)
        within = sorted(
            (secret for secret in secrets if len(secret) >= _MIN_EMBEDDED_LENGTH),
            key=lambda secret: (-len(secret), secret),
        )
        self._within = re.compile("|".join(map(re.escape, within))) if within else None

    def inputs(self, type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """A resource's inputs; what only the provider works by (`__defaults`) is left out."""
        secret = _SECRET_INPUTS.get(type_, ())
        return {
            key: _masked_map(value) if key in secret else self.value(value)
            for key, value in sorted(inputs.items())
            if not key.startswith("__")
        }

    def value(self, value: Any) -> Any:
        """The value without its secrets, and what is not known yet as `${unknown}`."""
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
        """A value that anybody may have written, at a path: hidden, too, where a name says that it is a secret."""
        return _mask_named_secrets(self.value(value), bool(_SECRET_NAME.search(_name_in_path(path))))

    def text(self, text: str) -> str:
        """Text in which no known secret stands."""
        if text in UNKNOWNS:
            return UNKNOWN
        if not text.isascii():
            # Half of a pair is no text, and no report could be written with it.
            text = text.encode("utf-8", "replace").decode()
        if text in self._whole:
            return MASK
        text = _CIPHERTEXT.sub(MASK, text)
        return self._within.sub(MASK, text) if self._within else text


def contains_mask(value: Any) -> bool:
    """Whether a secret was taken out of it."""
    if isinstance(value, str):
        return MASK in value
    if isinstance(value, Mapping):
        return any(contains_mask(member) for member in value.values())
    return isinstance(value, list) and any(contains_mask(member) for member in value)


def _mask_named_secrets(value: Any, hidden: bool = False) -> Any:
    """Without the values of variables, annotations and options that are named as secrets, and without keys."""
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
    """The name that says what a path's value is: of `env["X"].value` it is X; a reference to a secret is none."""
    without_value = re.sub(r"\.value$", "", path)
    match = re.search(r'\["((?:[^"\\]|\\.)*)"\]$|([^.\[\]]+)$', without_value)
    name = (match[1] or match[2] or "") if match else ""
    return "" if name.endswith(_REFERENCE_ENDINGS) else name


def _masked_map(value: Any) -> Any:
    """A map of secrets keeps its keys."""
    return (
        {str(key): MASK for key in value} if isinstance(value, Mapping) and SIGNATURE not in value else MASK
    )


def _spellings(secret: str) -> Iterable[str]:
    """A secret as it may stand elsewhere: as a string of JSON, in base64, and each text of a structure."""
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
