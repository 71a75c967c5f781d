"""What is made from the rules: the table in `docs/policies.md`, and the list that the pack shows the engine before
it has loaded them. `python -m scripts.policies_table` writes both."""

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
    """A section for each family, a row for each rule: the worst first."""
    families: dict[str, list[Rule]] = {}
    for rule in (*RULES, *CHANGES):
        families.setdefault(rule.family, []).append(rule)
    order = ("critical", "high", "medium", "low")
    parts = [f"{len(RULES) + len(CHANGES)} rules in {len(families)} families."]
    for family, rules in families.items():
        parts.append(
            f"\n### {family}\n\n| rule | severity | what must be so | supports | fix |\n|---|---|---|---|---|"
        )
        for rule in sorted(rules, key=lambda each: (order.index(each.severity), each.id)):
            cells = (f"`{rule.id}`", rule.severity, rule.title, _supports(rule.supports), rule.fix)
            parts.append(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |")
    return "\n".join(parts)


def _supports(controls: tuple[Control, ...]) -> str:
    said: dict[str, list[str]] = {}
    for each in controls:
        said.setdefault(f"{each.framework} {each.version}", []).append(each.id)
    return "; ".join(f"{name}: {', '.join(ids)}" for name, ids in said.items())


def filled(text: str) -> str:
    """The document with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def listed() -> str:
    """The rules as JSON, one on each line, in their order, for `policies.plugin.rule_info`."""
    rules = [
        {
            "id": each.id,
            "family": each.family,
            "title": each.title,
            "severity": each.severity,
            "stops": each.severity in BLOCKING_SEVERITIES,
            "fix": each.fix,
            "supports": [control.model_dump() for control in each.supports],
        }
        for each in RULES
    ]
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in rules)
    return f"[\n{lines}\n]\n"


def main() -> None:
    for file, text in ((DOC, filled(DOC.read_text("utf-8"))), (RULES_FILE, listed())):
        draft = file.with_suffix(".part")
        draft.write_text(text, "utf-8")
        draft.replace(file)


if __name__ == "__main__":
    main()
