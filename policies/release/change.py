"""Rules for changes that loosen what evaluates them: classes, handling, silences, rules, placements.

`isthmus.engine.pull_request.relaxed_files` compares two commits, so these rules read no resources. Silences of these
rules come from the base commit only: a change cannot silence its own findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.findings import Verdict
from isthmus.contracts.reports.preview import RuleChange
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

ITSELF = "the rules themselves"
"""`RuleChange.what` of a change to rule code, if the rules of the base commit evaluated the change too."""
UNJUDGED = "the rules themselves, by which alone this was judged"
"""`RuleChange.what` of a change to rule code, if the rules of the base commit could not run."""
UNDER_ANOTHER_NAME = "under another name"
"""Suffix of `RuleChange.what` for new work that may be old work of a stricter class."""


@dataclass(frozen=True)
class ChangedItem:
    """The subject of a finding that is no resource: a workload, a rule, a silence."""

    name: str
    urn: str = ""
    type: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    made: bool = False


def _changes_where(
    condition: Callable[[RuleChange], bool], verdict: Verdict = "violated"
) -> Callable[[Subject], Iterator[Violation]]:
    def check(subject: Subject) -> Iterator[Violation]:
        for change in subject.changed:
            if change.loosens and condition(change):
                yield Violation(_message(change), ChangedItem(change.what), verdict, entry=change.entry)

    return check


def _message(change: RuleChange) -> str:
    if change.kind in ("trust", "reach") and not change.old:
        return f"{change.what} is new: {change.new}"
    return f"{change.what}: {change.old or 'none'} before, {change.new or 'none'} with this change"


def _is_renamed_work(change: RuleChange) -> bool:
    return change.kind == "sensitivity" and change.what.endswith(UNDER_ANOTHER_NAME)


def _is_rule_code(change: RuleChange) -> bool:
    return change.kind == "rule" and change.what in (ITSELF, UNJUDGED)


RULES = (
    Rule(
        id="change/sensitivity-lowered",
        title="A change does not lower the class of data",
        severity="high",
        supports=(*fw.nist("AC-16", "CM-3"), *fw.iso_27001("A.5.12", "A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Every other rule follows the class, so data of a lower class may go to more places",
        fix="Ask the data's owner to decide, in a separate change that moves nothing",
        check=_changes_where(lambda change: change.kind == "sensitivity" and not _is_renamed_work(change)),
    ),
    Rule(
        id="change/work-under-another-name",
        title="A workload that is renamed keeps its class",
        severity="high",
        supports=(*fw.nist("AC-16", "CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Removing and re-adding a workload would otherwise lower the class of the same data",
        fix="Keep the workload's name, or remove the old workload in a separate change",
        check=_changes_where(_is_renamed_work, "undecided"),
    ),
    Rule(
        id="change/handling-loosened",
        title="A change does not loosen the requirements of a class or workload",
        severity="high",
        supports=(*fw.nist("CM-3"), *fw.gdpr("Chapter V"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Residency, regimes, retention and review also bind the person who changes the platform",
        fix="Ask the person responsible for the data to decide, in a separate change",
        check=_changes_where(lambda change: change.kind == "handling"),
    ),
    Rule(
        id="change/silence-added",
        title="A change does not silence its own findings",
        severity="high",
        supports=(*fw.nist("CM-3", "CA-7"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Nobody else has accepted a finding that its own change silences",
        fix="Add the silence in a separate change, which its owner approves",
        check=_changes_where(lambda change: change.kind == "silence"),
    ),
    Rule(
        id="change/rule-loosened",
        title="A change does not switch off, remove or loosen a rule",
        severity="high",
        supports=(*fw.nist("CM-3", "CA-7"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="What a rule no longer checks is not found in this change or any later one",
        fix="Change the rule in a separate change, which its owner approves",
        check=_changes_where(lambda change: change.kind == "rule" and not _is_rule_code(change)),
    ),
    Rule(
        id="change/judged-by-itself",
        title="A change to the rules is evaluated by the rules of the base commit",
        severity="high",
        supports=(*fw.nist("CM-3", "CM-5"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Rules that the change itself wrote cannot be trusted to judge it",
        fix="Run `isthmus ci` from a checkout of the base commit, with --project set to the branch",
        check=_changes_where(lambda change: change.kind == "rule" and change.what == UNJUDGED, "undecided"),
    ),
    Rule(
        id="change/rules-rewritten",
        title="A person reviews changes to the code of the rules",
        severity="medium",
        supports=(*fw.nist("CM-3", "CM-5"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Old and new rules evaluated this change, but only the new ones will evaluate later changes",
        fix="Review the named files, and what their tests require",
        check=_changes_where(lambda change: change.kind == "rule" and change.what == ITSELF),
    ),
    Rule(
        id="change/trust-widened",
        title="A change does not widen what the platform trusts, nor take a protection away",
        severity="high",
        supports=(
            *fw.nist("CM-3", "AC-4", "CA-3"),
            *fw.iso_27001("A.5.19", "A.8.32"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="A new address, account or registry, or a guard that is gone, may take data where nobody approved it",
        fix="Have who answers for the data approve it in a change of its own: an entry of trust.yaml, which"
        " `isthmus trust propose STACK --base COMMIT` prints",
        check=_changes_where(lambda change: change.kind == "trust"),
    ),
    Rule(
        id="change/reach-changed",
        title="A new host, namespace or private network of the platform is reviewed",
        severity="medium",
        supports=(*fw.nist("CM-3", "AC-4"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="It is the organisation's own, but the platform has not reached it before",
        fix="Review who runs there, and what the network policies let through",
        check=_changes_where(lambda change: change.kind == "reach"),
    ),
    Rule(
        id="change/placed-less-strictly",
        title="Work that moves to a less guarded place is reviewed",
        severity="medium",
        supports=(*fw.nist("CM-3", "AC-4"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="The class allows this place, but the work has not run there before",
        fix="Review the data paths that change, and their cost",
        check=_changes_where(lambda change: change.kind == "placement"),
    ),
)
