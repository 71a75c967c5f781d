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
    ran = command(folder / "no-home")(
        "render", "bank-dev", "-o", folder_made, "--project", folder_made.parent
    )
    assert ran.code == 0, ran.err
    return folder_made


def test_twice_gives_the_same_bytes_and_leaves_nothing_stale(isthmus, rendered):
    project, first = rendered.parent, tree(rendered)
    (rendered / "kubernetes" / "stale.yaml").write_text("x: 1\n")
    again = isthmus("render", "bank-dev", "-o", rendered, "--project", project, PYTHONHASHSEED="7")
    assert again.code == 0, again.err
    assert tree(rendered) == first
    assert not [path for path in project.iterdir() if path.name.startswith(".made")], "temporary folders stay"


def test_manifests_can_be_applied(rendered):
    read = YAML(typ="safe", pure=True)
    manifests = sorted(rendered.glob("kubernetes/*/*/*.yaml"))
    assert len(manifests) > 100
    for path in manifests:
        body = read.load(path)
        assert list(body)[:3] == ["apiVersion", "kind", "metadata"], path
        assert body["metadata"]["name"], path
        namespace = body["metadata"].get("namespace", "cluster")
        assert path.parent.name == namespace


def test_unknown_values_are_named_placeholders(rendered):
    outputs = json.loads((rendered / "outputs.json").read_text())
    buckets = [store["bucket"] for store in outputs["audit"] if store["site"] == "frankfurt"]
    assert buckets[0].startswith("${"), buckets
    policies = list(rendered.glob("aws/frankfurt/*policy*.json"))
    assert policies
    for path in policies:
        inputs = json.loads(path.read_text())["inputs"]
        document = inputs.get("policy") or inputs.get("policyDocument") or inputs.get("sessionPolicy")
        assert document is None or json.loads(document)["Statement"], path


def test_the_graph_holds_every_resource_sorted_with_what_it_needs(rendered):
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


def test_the_gpus_of_the_rendered_pods_are_the_plan_s(rendered):
    read = YAML(typ="safe", pure=True)
    total = 0
    for path in rendered.glob("kubernetes/*/*/deployment-*.yaml"):
        spec = read.load(path)["spec"]
        for container in spec["template"]["spec"]["containers"]:
            gpus_requested = container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0)
            total += int(gpus_requested) * spec["replicas"]
    assert total == sum(endpoint.gpus for endpoint in bank.requirements_and_plan()[1].endpoints) > 0


def test_a_folder_of_other_origin_is_left_alone(isthmus, project):
    own_folder = project / "mine"
    own_folder.mkdir()
    (own_folder / "thesis.txt").write_text("years of work")
    ran = isthmus("render", "bank-dev", "-o", own_folder, "--project", project)
    assert ran.code == 2
    assert "it is not replaced" in ran.err
    assert tree(own_folder) == {"thesis.txt": b"years of work"}


def test_the_validated_platform_is_written(rendered):
    body = YAML(typ="safe", pure=True).load(rendered / "platform.yaml")
    assert [endpoint["id"] for endpoint in body["endpoints"]] == [
        endpoint.id for endpoint in bank.requirements_and_plan()[1].endpoints
    ]
    assert body["images"]["registries"] == ["registry.bank.example/"]
