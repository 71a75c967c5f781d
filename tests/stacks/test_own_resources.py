"""An organisation's own resources beside the platform: `stacks/own.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.core.errors import InputError
from isthmus.engine.preview import comparison
from isthmus.engine.project import project
from isthmus.engine.render import recorder, rendering
from isthmus.graph.resources.resources import Graph
from policies.data_path import own_code
from policies.rules.rule import Subject
from stacks import own_resources
from tests.blueprints import bank
from tests.laying import lay

OWN = """
import pulumi
import pulumi_kubernetes as k8s


def add(built, providers, stack):
    opts = pulumi.ResourceOptions(provider=providers["fra1"])
    name = f"tools-of-{stack}"
    k8s.core.v1.Namespace(name, metadata={"name": name, "labels": {"gateways": "1"}}, opts=opts)
    assert built.gateways is not None
"""


def rendered(root: Path, own: str) -> rendering.Rendered:
    lay(root, bank=True)
    (root / "stacks" / "own.py").write_text(own, "utf-8")
    return rendering.render(project.find_project(root).stack("bank-dev"))


def test_what_the_file_adds_is_rendered_with_the_platform(tmp_path: Path):
    resources = {resource.name: resource for resource in rendered(tmp_path, OWN).resources}
    added = resources["tools-of-bank-dev"]
    assert added.type == "kubernetes:core/v1:Namespace"
    assert added.provider == resources["bank-fra1-restricted-namespace"].provider


ALTERS = """
def add(built, providers, stack):
    import pulumi
    import pulumi_kubernetes as k8s
    from isthmus.engine.render import recorder
    record = recorder.Recorder._record

    def altered(self, urn, *args, **kwargs):
        record(self, urn, *args, **kwargs)
        if urn.endswith("::bank-fra1-restricted-namespace"):
            self.recording.resources[urn].inputs["metadata"]["labels"]["isthmus.dev/class"] = "public"

    recorder.Recorder._record = altered
    opts = pulumi.ResourceOptions(parent=built, provider=providers["fra1"])
    k8s.core.v1.ConfigMap("of-a-component", metadata={"name": "x", "namespace": "tools"}, opts=opts)
"""


def test_what_own_code_adds_or_alters_is_marked_and_judged(tmp_path: Path):
    record = recorder.Recorder._record
    try:
        made = rendered(tmp_path, ALTERS)
    finally:
        recorder.Recorder._record = record
    marks = {resource.name: resource.own for resource in made.resources if resource.own}
    assert marks == {
        "of-a-component": "added",
        "bank-fra1-restricted-namespace": "altered: metadata.labels.isthmus.dev/class",
    }
    found = list(own_code.RULES[0].check(Subject(Graph(made.resources), bank.platform())))
    assert {violation.verdict for violation in found} == {"undecided"}
    assert {violation.resource.name for violation in found if violation.resource} == set(marks)
    about = {"reason": "reviewed", "owner": "ana"}
    trust = Trust.model_validate({"objects": [{"value": name, **about} for name in marks]})
    trusted = Subject(Graph(made.resources), bank.platform(), Settings(trust=trust))
    assert list(own_code.RULES[0].check(trusted)) == []


def test_marks_survive_the_way_to_the_process_that_judges():
    [resource, *_] = bank.rendered().resources
    marked = replace(resource, own="added")
    [back] = comparison.resources_from_json({"resources": [marked.as_json()]})
    assert back.own == "added"
    assert "own" not in resource.as_json()


def add(folder: Path, own: str) -> None:
    (folder / "own.py").write_text(own, "utf-8")
    own_resources.add(folder, "bank-dev", None, {})  # type: ignore[arg-type]


def test_a_project_without_the_file_adds_nothing(tmp_path: Path):
    own_resources.add(tmp_path, "bank-dev", None, {})  # type: ignore[arg-type]


def test_a_file_without_the_function_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no function `add`") as raised:
        add(tmp_path, "x = 1\n")
    assert f"{tmp_path.name}/own.py" in str(raised.value)


def test_an_error_of_the_file_is_not_hidden(tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        add(tmp_path, "def add(built, providers, stack):\n    1 / 0\n")
