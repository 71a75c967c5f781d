"""Rules for what the platform names outside itself: an entry of `trust.yaml` must vouch for it."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.stated_values import StatedValue, stated_values
from isthmus.contracts.trust import FILE, KINDS, Kind
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_REACH: dict[Kind, str] = {
    "address_ranges": "network policies, security groups or a VPN of classified work would open to it",
    "access": "whoever is there could connect to the gateway of that class",
    "registries": "its images would be admitted beside the models and their data",
    "charts": "its operator would run on the machines that hold the models",
    "accounts": "whoever administers that account could read what is handed to it",
    "principals": "it could act on what the stack makes in AWS",
    "keys": "its owner could read what is encrypted with it, and withdraw it",
    "buckets": "its owner could read what is written there",
    "namespaces": "a pod of anybody there would reach the pods of a class",
}
"""Kind → what the value would be able to do."""


def _check_foreign_values(subject: Subject) -> Iterator[Violation]:
    for value in foreign_values(subject):
        kind: Kind = value.kind  # pyright: ignore[reportAssignmentType]  only kinds of trust.yaml are foreign
        yield Violation(
            f"`{value.value}` in {value.where} is {value.foreign}, and `{kind}` of {FILE} has no valid entry for it;"
            f" {_REACH[kind]}",
            entry=(kind, value.value),
        )


def foreign_values(subject: Subject) -> list[StatedValue]:
    """The foreign values that no valid entry of `trust.yaml` covers."""
    if subject.platform is None:
        return []
    return [
        value
        for value in stated_values(subject.platform)
        if value.foreign and value.kind in KINDS and not subject.trusts(value.kind, value.value)
    ]


def _check_expired_entries(subject: Subject) -> Iterator[Violation]:
    for kind, entry in subject.settings.trust.expired(subject.today):
        yield Violation(
            f"{FILE}: {kind} `{entry.value}`, for which {entry.owner} answers, expired on {entry.expires}"
        )


def _stack_with_platform(subject: Subject) -> Applicable:
    return [None] if subject.platform is not None else []


def _stack_with_trust(subject: Subject) -> Applicable:
    trust = subject.settings.trust
    return [None] if any(trust.entries(kind) for kind in KINDS) else []


RULES = (
    Rule(
        id="trust/foreign-values",
        title="What the platform names outside itself is trusted by the organisation",
        severity="critical",
        supports=(
            *fw.nist("AC-4", "CA-3", "SR-3"),
            *fw.gdpr("Art. 32(1)(b)"),
            *fw.iso_27001("A.5.19", "A.8.22"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="A foreign address, account, registry or bucket could get classified data without anybody's approval",
        fix="Name one of your own. If it is your organisation's, ask its owner to add it to trust.yaml, separately",
        check=_check_foreign_values,
        applies_to=_stack_with_platform,
    ),
    Rule(
        id="trust/expired-entries",
        title="Entries of the trust file are in date",
        severity="medium",
        supports=(*fw.nist("AC-2", "CA-3"), *fw.iso_27001("A.5.18", "A.5.22"), *fw.dora("Art. 9(4)(c)")),
        why="An expired entry trusts nothing, so what relies on it is refused",
        fix="Ask the owner: prolong the entry in a change of its own, or remove it",
        check=_check_expired_entries,
        applies_to=_stack_with_trust,
    ),
)
