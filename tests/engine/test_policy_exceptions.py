"""Exceptions to the rules: reports name those of the organisation and of every stack of an estate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts.reports.preview import Preview, RuleException
from isthmus.core import yaml_files
from isthmus.engine.policy.exceptions import exceptions
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import text as preview_text
from isthmus.reports.preview.page import page as preview_page
from tests.estate import bank_estate
from tests.reports.goldens import scenario

OFF = {"rule": "reliability/two-zones", "owner": "ana", "reason": "comes in spring"}


def test_every_layer_names_what_another_layer_switches_off(tmp_path: Path):
    project = bank_estate(tmp_path / "estate")
    file = project.stacks_dir / "Pulumi.bank-foundation.yaml"
    data: dict[str, Any] = yaml_files.load(file).data
    data["config"]["isthmus:policies"] = {"off": [OFF]}
    yaml_files.dump(data, "", file)
    for name in project.stacks():
        (entry,) = exceptions(project.stack(name))
        assert (entry.kind, entry.rule, entry.owner) == ("off", OFF["rule"], "ana")
        assert "Pulumi.bank-foundation.yaml" in entry.source


def test_the_reports_of_a_preview_list_exceptions_and_are_unchanged_without_any():
    plain = scenario("unchanged")
    exception = RuleException.model_validate({**OFF, "kind": "off", "source": "policies.yaml"})
    shown: Preview = plain.model_copy(update={"exceptions": [exception]})
    for report in (
        preview_text.text,
        preview_markdown.comment,
        preview_page.page,
    ):
        assert "Exceptions to the rules" in report([shown])
        assert "reliability/two-zones" in report([shown])
        assert "Exceptions to the rules" not in report([plain])
