"""Names and texts of plan files: the ends of their names, the header, and the bytes that `isthmus plan` writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.core import yaml_files

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan

REQUIREMENTS, PLAN = ".requirements.yaml", ".plan.yaml"
_HEADER = """{schema}
Made by `isthmus plan`: a lock, which only that command changes. Figures rest on the evidence beside them."""
_WHAT_IF_HEADER = """{schema}
A what-if, made by `isthmus plan`: an answer, not a plan to build. Figures rest on the evidence beside them."""


def plan_beside(requirements: Path) -> Path | None:
    """The path of the plan of a requirements file; None if the file's name does not end as requirements do."""
    if not requirements.name.endswith(REQUIREMENTS):
        return None
    return requirements.with_name(requirements.name.removesuffix(REQUIREMENTS) + PLAN)


def plan_text(plan: Plan) -> str:
    """The text of the plan file."""
    header = _HEADER if plan.what_if is None else _WHAT_IF_HEADER
    return yaml_files.dumps(
        plan.model_dump(by_alias=True, mode="json"),
        header.format(schema=yaml_files.schema_header("../docs/schemas/plan.json")),
    )
