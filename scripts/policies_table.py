"""The table of rules in `docs/policies.md`, made from the rules: `python -m scripts.policies_table`."""

from __future__ import annotations

from pathlib import Path

from isthmus.contracts.findings import Control
from policies.catalogue import CHANGES, RULES
from policies.rule import Rule

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


def main() -> None:
    draft = DOC.with_suffix(".part")
    draft.write_text(filled(DOC.read_text("utf-8")), "utf-8")
    draft.replace(DOC)


if __name__ == "__main__":
    main()
