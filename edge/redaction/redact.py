"""Replaces findings by placeholders and back. A value has the same placeholder throughout a request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from edge.redaction.findings import Finding

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]{1,40}_[1-9][0-9]{0,7}>")
"""Eight digits suffice: numbers are consecutive, and each stands for a value in the request."""


class Placeholders:
    """The placeholders of one request, in memory only: `<IBAN_CODE_1>` for the first IBAN, and so on."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """`texts`: all texts to redact. What looks like a placeholder in them is not used for a value."""
        self._by_value: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._taken = {placeholder for text in texts for placeholder in _PLACEHOLDER.findall(text)}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def redact(self, text: str, findings: Iterable[Finding]) -> str:
        """The text with a placeholder for each finding. Findings must be in order and must not overlap."""
        return _replace(
            text, findings, lambda finding: self.of(finding.entity, text[finding.start : finding.end])
        )

    def of(self, entity: str, value: str) -> str:
        """The placeholder of a value. Spaces and dashes within numbers are ignored."""
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
        """The text with values in place of their placeholders. `in_json`: values are escaped for JSON."""

        def value(match: re.Match[str]) -> str:
            original = self._values.get(match.group())
            if original is None:
                return match.group()
            return json.dumps(original, ensure_ascii=False)[1:-1] if in_json else original

        return _PLACEHOLDER.sub(value, text) if self._values else text


def hide(text: str, findings: Iterable[Finding]) -> str:
    """The text with `<ENTITY>` for each finding, if the values are not restored later."""
    return _replace(text, findings, lambda finding: f"<{finding.entity}>")


def _replace(text: str, findings: Iterable[Finding], replacement: Callable[[Finding], str]) -> str:
    pieces, at = [], 0
    for finding in findings:
        pieces += [text[at : finding.start], replacement(finding)]
        at = finding.end
    return "".join([*pieces, text[at:]])
