"""`isthmus render` through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.blueprints import bank
from tests.cli.conftest import command
from tests.laying import lay


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered once, below the project that it is of."""
    folder = tmp_path_factory.mktemp("rendered")
    lay(folder / "project", bank=True)
    folder_made = folder / "project" / "made"
    result = command(folder / "no-home")(
        "render", "bank-dev", "-o", folder_made, "--project", folder_made.parent
    )
    assert result.code == 0, result.err
    return folder_made


def test_rendering_twice_gives_the_same_bytes_and_removes_stale_files(isthmus, rendered):
    project, first = rendered.parent, tree(rendered)
    (rendered / "kubernetes" / "stale.yaml").write_text("x: 1\n")
    again = isthmus("render", "bank-dev", "-o", rendered, "--project", project, PYTHONHASHSEED="7")
    assert again.code == 0, again.err
    assert tree(rendered) == first
    assert not [path for path in project.iterdir() if path.name.startswith(".made")], "temporary folders stay"


def test_rendered_manifests_have_the_fields_that_kubectl_apply_needs(rendered):
    read = YAML(typ="safe", pure=True)
    manifests = sorted(rendered.glob("kubernetes/*/*/*.yaml"))
    assert len(manifests) > 100
    for path in manifests:
        body = read.load(path)
        assert list(body)[:3] == ["apiVersion", "kind", "metadata"], path
        assert body["metadata"]["name"], path
        namespace = body["metadata"].get("namespace", "cluster")
        assert path.parent.name == namespace


def test_unknown_values_become_placeholders_that_name_their_source(rendered):
    outputs = json.loads((rendered / "outputs.json").read_text())
    buckets = [store["bucket"] for store in outputs["audit"] if store["site"] == "frankfurt"]
    assert buckets[0].startswith("${"), buckets
    policies = list(rendered.glob("aws/frankfurt/*policy*.json"))
    assert policies
    for path in policies:
        inputs = json.loads(path.read_text())["inputs"]
        document = inputs.get("policy") or inputs.get("policyDocument") or inputs.get("sessionPolicy")
        assert document is None or json.loads(document)["Statement"], path


def test_the_graph_lists_every_resource_in_order_with_its_dependencies(rendered):
    resources = json.loads((rendered / "graph.json").read_text())["resources"]
    urns = [resource["urn"] for resource in resources]
    assert urns == sorted(urns)
    for resource in resources:
        needed = [
            *resource["dependencies"],
            *(x for some in resource["propertyDependencies"].values() for x in some),
        ]
        assert set(needed) <= set(urns), resource["urn"]
        assert resource["parent"] is None or resource["parent"] in urns
    name = f"bank-{bank.serving('transaction-narratives').id}-server"
    deployment = next(resource for resource in resources if resource["name"] == name)
    assert deployment["options"]["customTimeouts"]["create"]
    assert "$isthmus:index:ModelServer$kubernetes:apps/v1:Deployment::" in deployment["urn"]


def test_rendered_pods_request_as_many_gpus_as_the_plan(rendered):
    read = YAML(typ="safe", pure=True)
    total = 0
    for path in rendered.glob("kubernetes/*/*/deployment-*.yaml"):
        spec = read.load(path)["spec"]
        for container in spec["template"]["spec"]["containers"]:
            gpus_requested = container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0)
            total += int(gpus_requested) * spec["replicas"]
    assert total == sum(endpoint.gpus for endpoint in bank.requirements_and_plan()[1].endpoints) > 0


def test_a_folder_that_isthmus_did_not_write_is_not_replaced(isthmus, project):
    own_folder = project / "mine"
    own_folder.mkdir()
    (own_folder / "thesis.txt").write_text("years of work")
    result = isthmus("render", "bank-dev", "-o", own_folder, "--project", project)
    assert result.code == 2
    assert "it is not replaced" in result.err
    assert tree(own_folder) == {"thesis.txt": b"years of work"}


def test_render_writes_the_validated_platform(rendered):
    body = YAML(typ="safe", pure=True).load(rendered / "platform.yaml")
    assert [endpoint["id"] for endpoint in body["endpoints"]] == [
        endpoint.id for endpoint in bank.requirements_and_plan()[1].endpoints
    ]
    assert body["images"]["registries"] == ["registry.bank.example/"]
