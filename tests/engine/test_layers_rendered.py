"""A rendered estate: its stacks together equal a single stack, and a model release changes only its serving stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.engine.project.project import Project
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.engine.run import preflight
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph, join_layers
from isthmus.graph.resources.state import from_state
from tests.blueprints import bank
from tests.estate import ESTATE, LAYERS, bank_estate, change_overrides, release
from tests.graph.clouds import deployed
from tests.layered import without_digests

FOUNDATION, PLATFORM, INVESTIGATIONS, ONBOARDING = LAYERS
Rendered = dict[str, rendering.Rendered]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return bank_estate(tmp_path_factory.mktemp("estate"))


@pytest.fixture(scope="module")
def estate(project: Project) -> Rendered:
    return rendering.render_estate(project.stack(FOUNDATION))


@pytest.fixture(scope="module")
def after_a_release(project: Project, estate: Rendered) -> Rendered:
    change_overrides(project, release)
    return rendering.render_estate(project.stack(FOUNDATION))


def resources_by_name(rendered: rendering.Rendered) -> dict[tuple[str, str], Resource]:
    return {(resource.type, resource.name): resource for resource in rendered.resources if resource.made}


def kinds(rendered: rendering.Rendered) -> set[str]:
    return {kind.rpartition(":")[2] for kind, _ in resources_by_name(rendered)}


def test_the_stacks_of_an_estate_render_every_resource_of_a_single_stack_once(estate: Rendered):
    whole_stack = resources_by_name(bank.rendered())
    layer_keys = [key for layer in estate.values() for key in resources_by_name(layer)]
    assert len(layer_keys) == len(set(layer_keys)), "two stacks would make the same"
    assert set(layer_keys) == set(whole_stack)


def test_the_joined_layers_have_the_data_paths_of_a_single_stack(estate: Rendered):
    """In whatever order, rendered or as they stand; a layer alone cannot show where its routes lead."""
    platform, resourceses = bank.platform(), [layer.resources for layer in estate.values()]
    whole_paths = data_paths(Graph(bank.rendered().resources), platform)
    assert (
        data_paths(join_layers(*resourceses), platform)
        == data_paths(join_layers(*reversed(resourceses)), platform)
        == whole_paths
    )
    stand = from_state(*(deployed(layer) for layer in resourceses))
    assert data_paths(join_layers(stand), platform) == whole_paths
    alone = data_paths(join_layers(estate[PLATFORM].resources), platform)
    assert {path.workload for path in alone if path.verdict == "undecided"} >= {"transaction-narratives"}


def test_every_kubernetes_object_equals_that_of_a_single_stack(estate: Rendered):
    whole_stack = resources_by_name(bank.rendered())
    for layer in estate.values():
        for key, resource in resources_by_name(layer).items():
            if not resource.type.startswith("kubernetes:"):
                continue
            expected = json.loads(json.dumps(whole_stack[key].inputs))
            if resource.parent and "ModelDoor" in resource.parent and key[0].endswith(":Service"):
                # Its pods come later, so it is not waited for.
                expected["metadata"].setdefault("annotations", {})["pulumi.com/waitFor"] = (
                    "jsonpath={.spec.clusterIP}"
                )
            # Names in AWS, of which translators are told, are the stack's own.
            if "translator" not in resource.name:
                actual, whole_of_it = (
                    without_digests(json.dumps(inputs)) for inputs in (resource.inputs, expected)
                )
                assert json.loads(actual) == json.loads(whole_of_it), key


def test_a_serving_stack_has_its_models_pods_and_no_network_resources(estate: Rendered):
    for name, endpoint in ((INVESTIGATIONS, "restricted-"), (ONBOARDING, "confidential-")):
        assert kinds(estate[name]) == {
            *("Certificate", "ConfigMap", "Deployment", "PersistentVolumeClaim", "PodDisruptionBudget"),
            *("PodMonitor", "ServiceAccount"),
        }
        (server,) = [
            resource
            for resource in resources_by_name(estate[name]).values()
            if resource.type.endswith(":Deployment")
        ]
        assert server.inputs["metadata"]["name"].startswith(endpoint)


def test_a_layer_has_only_the_providers_of_sites_that_it_uses(estate: Rendered):
    providers = {
        name: {resource.name for resource in layer.resources if resource.type.startswith("pulumi:providers:")}
        for name, layer in estate.items()
    }
    assert providers[FOUNDATION] == {"frankfurt"}
    assert providers[PLATFORM] == {"fra1", "frankfurt"}
    assert providers[INVESTIGATIONS] == providers[ONBOARDING] == {"fra1"}


def test_networks_and_record_stores_belong_to_the_foundation_layer(estate: Rendered):
    assert {"Vpc", "Subnet", "TransitGateway", "VpnConnection", "Trail", "Bucket", "TrustAnchor"} <= kinds(
        estate[FOUNDATION]
    )
    assert not {"Vpc", "Subnet", "RouteTable", "Route"} & kinds(estate[PLATFORM])
    assert {"Namespace", "NetworkPolicy", "Service", "VpcEndpoint", "Role"} <= kinds(estate[PLATFORM])


def test_boundaries_are_checked_on_the_whole_estate_and_fail_without_a_layer(
    project: Project, estate: Rendered
):
    platform = project.stack(PLATFORM).platform()
    every_resource = [resource for layer in estate.values() for resource in layer.resources]
    preflight.check_boundaries(every_resource, platform, "here")
    without = [
        resource for name, layer in estate.items() if name != FOUNDATION for resource in layer.resources
    ]
    with pytest.raises(Exception, match="trail"):
        preflight.check_boundaries(without, platform, "here")


def outputs_of(rendered: rendering.Rendered) -> dict[str, Any]:
    return {resource.urn: resource.as_json() for resource in rendered.resources}


def test_a_model_release_changes_only_its_own_stack(estate: Rendered, after_a_release: Rendered):
    for name in (FOUNDATION, PLATFORM):
        assert outputs_of(after_a_release[name]) == outputs_of(estate[name])
        assert after_a_release[name].outputs == estate[name].outputs
    before, after = outputs_of(estate[INVESTIGATIONS]), outputs_of(after_a_release[INVESTIGATIONS])
    changed = {
        urn.rpartition("::")[2] for urn in before.keys() | after.keys() if before.get(urn) != after.get(urn)
    }
    assert changed == {
        "bank-restricted-qwen3-32b",
        "bank-restricted-qwen3-32b-server",
        "bank-fra1-restricted-qwen3-32b",
        "bank-fra1-restricted-qwen3-32b-v2",
    }


def test_each_stack_outputs_its_layer_and_only_serving_outputs_the_plan(estate: Rendered):
    assert {name: set(layer.outputs) for name, layer in estate.items()} == {
        FOUNDATION: {"audit", "retained", "links", "layer"},
        PLATFORM: {"gateways", "endpoints", "pools", "data_paths", "retained", "layer"},
        INVESTIGATIONS: {"plan", "standing", "retained", "layer"},
        ONBOARDING: {"plan", "standing", "retained", "layer"},
    }
    assert [endpoint["id"] for endpoint in estate[INVESTIGATIONS].outputs["standing"]] == [
        "restricted-qwen3-32b"
    ]
    assert estate[PLATFORM].outputs["layer"]["estate"] == ESTATE


def test_a_layer_is_rendered_with_the_outputs_of_lower_layers(project: Project, after_a_release: Rendered):
    assert outputs_of(rendering.render(project.stack(PLATFORM))) == outputs_of(after_a_release[PLATFORM])
