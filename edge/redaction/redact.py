"""Placeholders in place of what was found, and back: the same value has the same one throughout a request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from edge.redaction.findings import Finding

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]{1,40}_[1-9][0-9]{0,7}>")
"""A request is too short for more than eight digits: numbers are given in order, and each stands for a value in it."""


class Placeholders:
    """Of one request, in its memory only: `<IBAN_CODE_1>` for the first IBAN, and so on."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """`texts` is all that will be redacted: what looks like a placeholder in it is never given to a value."""
        self._by_value: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._taken = {placeholder for text in texts for placeholder in _PLACEHOLDER.findall(text)}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def redact(self, text: str, findings: Iterable[Finding]) -> str:
        """The text with a placeholder for each finding; findings are in order and apart."""
        return _replace(
            text, findings, lambda finding: self.of(finding.entity, text[finding.start : finding.end])
        )

    def of(self, entity: str, value: str) -> str:
        """The value's placeholder. Spaces and dashes make no other value of a number."""
        key = (entity, re.sub(r"[\s./-]+", "", value) if any(map(str.isdigit, value)) else value)
        if (placeholder_of_value := self._by_value.get(key)) is not None:
            return placeholder_of_value
        number = self._counts.get(entity, 0) + 1
        while (placeholder := f"<{entity}_{number}>") in self._taken:
            number += 1
        self._counts[entity] = number
        self._by_value[key] = placeholder
        self._values[placeholder] = value
        return placeholder

    def restore(self, text: str, *, in_json: bool = False) -> str:
        """The text with the values in place of their placeholders; within JSON's text, as JSON writes them."""

        def value(match: re.Match[str]) -> str:
            original = self._values.get(match.group())
            if original is None:
                return match.group()
            return json.dumps(original, ensure_ascii=False)[1:-1] if in_json else original

        return _PLACEHOLDER.sub(value, text) if self._values else text


def hide(text: str, findings: Iterable[Finding]) -> str:
    """The text with the entity's name for each finding: for what nobody needs back."""
    return _replace(text, findings, lambda finding: f"<{finding.entity}>")


def _replace(text: str, findings: Iterable[Finding], replacement: Callable[[Finding], str]) -> str:
    pieces, at = [], 0
    for finding in findings:
        pieces += [text[at : finding.start], replacement(finding)]
        at = finding.end
    return "".join([*pieces, text[at:]])
