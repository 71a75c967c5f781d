"""Writes the table of rules in `docs/policies.md` and the rules file of the policy pack.

The pack shows the rules file to the engine before it has loaded the rules. Run `python -m scripts.policies_table`.
"""

from __future__ import annotations

import json
from pathlib import Path

from isthmus.contracts.reports.findings import Control
from policies.evaluation.evaluation import BLOCKING_SEVERITIES
from policies.evaluation.registry import CHANGES, RULES
from policies.plugin.rule_info import RULES_FILE
from policies.rules.rule import Rule

DOC = Path(__file__).resolve().parents[1] / "docs" / "policies.md"
BEGIN = "<!-- made by `python -m scripts.policies_table` -->"
END = "<!-- end of what is made -->"


def table() -> str:
    """The table: a section for each family, a row for each rule, the most severe rule first."""
    families: dict[str, list[Rule]] = {}
    for rule in (*RULES, *CHANGES):
        families.setdefault(rule.family, []).append(rule)
    order = ("critical", "high", "medium", "low")
    lines = [f"{len(RULES) + len(CHANGES)} rules in {len(families)} families."]
    for family, rules in families.items():
        lines.append(
            f"\n### {family}\n\n| rule | severity | what must be so | supports | fix |\n|---|---|---|---|---|"
        )
        for rule in sorted(rules, key=lambda rule: (order.index(rule.severity), rule.id)):
            cells = (f"`{rule.id}`", rule.severity, rule.title, _supports(rule.supports), rule.fix)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _supports(controls: tuple[Control, ...]) -> str:
    ids_of: dict[str, list[str]] = {}
    for control in controls:
        ids_of.setdefault(f"{control.framework} {control.version}", []).append(control.id)
    return "; ".join(f"{name}: {', '.join(ids)}" for name, ids in ids_of.items())


def fill_document(text: str) -> str:
    """The text of the document with a new table."""
    before, _, remainder = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{remainder.partition(END)[2]}"


def rules_json() -> str:
    """The rules as JSON in their order, one on each line, for `policies.plugin.rule_info`."""
    rules = [
        {
            "id": rule.id,
            "family": rule.family,
            "title": rule.title,
            "severity": rule.severity,
            "stops": rule.severity in BLOCKING_SEVERITIES,
            "fix": rule.fix,
            "supports": [control.model_dump() for control in rule.supports],
        }
        for rule in RULES
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in rules)
    return f"[\n{lines}\n]\n"


def main() -> None:
    for file, text in ((DOC, fill_document(DOC.read_text("utf-8"))), (RULES_FILE, rules_json())):
        draft = file.with_suffix(".part")
        draft.write_text(text, "utf-8")
        draft.replace(file)


if __name__ == "__main__":
    main()
