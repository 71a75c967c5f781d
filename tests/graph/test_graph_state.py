"""Resources read from a state have the form of a rendering: placeholders, masked secrets, no pending deletions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.core.pulumi_values import ASSET, SIGNATURE
from isthmus.core.pulumi_values import SECRET as SECRET_KIND
from isthmus.engine.render.recorder import MASK as ENGINES
from isthmus.engine.render.recorder import Resource, placeholder
from isthmus.graph.resources import state as graph_state
from tests.blueprints.bank import rendered
from tests.graph.clouds import deployed

SECRET = {SIGNATURE: SECRET_KIND, "ciphertext": "v1:abc:hunter2"}


def entry(**more: Any) -> dict[str, Any]:
    urn = "urn:pulumi:s::p::aws:ec2/vpc:Vpc::net"
    return {"urn": urn, "type": "aws:ec2/vpc:Vpc", "custom": True, "id": "vpc-0123456789abcdef0", **more}


def test_the_deployed_graph_has_the_references_of_the_rendered_one() -> None:
    """Every reference that the rendering has is there again, and nothing that a cloud gave is left."""
    rendered_by_urn = {resource.urn: resource for resource in rendered().resources if resource.made}
    deployed_by_urn = {
        resource.urn: resource
        for resource in graph_state.from_state(deployed(rendered().resources))
        if resource.made
    }
    assert set(deployed_by_urn) == set(rendered_by_urn)
    for urn, resource in deployed_by_urn.items():
        assert _references(resource.inputs) == _references(rendered_by_urn[urn].inputs), urn
        assert resource.property_dependencies == rendered_by_urn[urn].property_dependencies


def test_an_id_names_the_resource_that_has_it_whatever_comes_first() -> None:
    """The engine's policy interface lists an endpoint, whose outputs name its network, before the network."""
    network = "vpc-0123456789abcdef0"
    endpoint = entry(
        urn="urn:pulumi:s::p::aws:route53/resolverEndpoint:ResolverEndpoint::inbound",
        type="aws:route53/resolverEndpoint:ResolverEndpoint",
        id="rslvr-in-0123456789abcdef0",
        outputs={"hostVpcId": network},
    )
    attachment = entry(
        urn="urn:pulumi:s::p::aws:ec2transitgateway/vpcAttachment:VpcAttachment::link",
        type="aws:ec2transitgateway/vpcAttachment:VpcAttachment",
        id="tgw-attach-0123456789abcdef0",
        inputs={"vpcId": network},
    )
    state = {"deployment": {"resources": [endpoint, attachment, entry(outputs={"id": network})]}}
    inputs = {resource.name: resource.inputs for resource in graph_state.from_state(state)}
    assert inputs["link"] == {"vpcId": "${net.id}"}


def test_an_address_that_a_cluster_gave_to_a_service_is_named_and_one_that_the_program_states_is_not() -> (
    None
):
    def service(name: str, stated: dict[str, Any], address: str) -> dict[str, Any]:
        urn = f"urn:pulumi:s::p::{graph_state.SERVICE}::{name}"
        outputs = {"spec": {"clusterIP": address}}
        return entry(urn=urn, type=graph_state.SERVICE, id=f"n/{name}", inputs=stated, outputs=outputs)

    pod = entry(
        urn="urn:pulumi:s::p::kubernetes:core/v1:Pod::pod",
        type="kubernetes:core/v1:Pod",
        inputs={"addresses": ["10.0.197.77", "10.0.0.9/32", "10.0.0.8/32"]},
    )
    services = [
        service("given", {"spec": {}}, "10.0.197.77"),
        service("short", {}, "10.0.0.9"),
        service("own", {"spec": {"clusterIP": "10.0.0.8"}}, "10.0.0.8"),
        service("headless", {}, "None"),
    ]
    state = {"deployment": {"resources": [*services, pod]}}
    inputs = {resource.name: resource.inputs for resource in graph_state.from_state(state)}
    assert inputs["pod"]["addresses"] == ["${given.clusterIP}", "${short.clusterIP}/32", "10.0.0.8/32"]


def _references(inputs: dict[str, Any]) -> list[str]:
    matches = re.findall(r"\$\{[^.${}]+\.[^${}]+\}", json.dumps(inputs, sort_keys=True))
    # The account's number is not replaced.
    return sorted(reference for reference in matches if not reference.endswith("aws.accountId}"))


def test_masks_and_placeholders_equal_those_of_the_recorder() -> None:
    assert graph_state.MASK == ENGINES
    vpc = graph_state.Stated("urn:x", "aws:ec2/vpc:Vpc", "net", {}, id="vpc-0123456789abcdef0")
    for prop in ("id", "arn", "roleArn"):
        assert graph_state._name(vpc, prop) == placeholder(vpc.type, vpc.name, prop)
    assert set(vars(vpc)) >= set(Resource.__dataclass_fields__)


def test_secrets_are_masked_in_every_place() -> None:
    inputs = {"key": SECRET, "tags": [{"deep": SECRET}]}
    (resource,) = graph_state.from_state(
        {"deployment": {"resources": [entry(inputs=inputs, outputs=inputs)]}}
    )
    assert resource.inputs == {"key": graph_state.MASK, "tags": [{"deep": graph_state.MASK}]}
    assert "hunter2" not in repr(resource)


def test_an_asset_is_shown_by_its_text_path_or_hash() -> None:
    def shown(**asset: str) -> object:
        return graph_state.plain({SIGNATURE: ASSET, **asset})

    assert shown(text="x: 1", hash="abc") == {"asset": "x: 1"}
    assert shown(path="code.zip", hash="abc") == {"asset": "code.zip"}
    assert shown(hash="abc") == {"asset": "abc"}


def test_defaults_of_a_provider_are_not_inputs() -> None:
    inputs = {"__defaults": ["region"], "region": "eu-central-1", "cidrBlock": "10.0.0.0/16"}
    (resource,) = graph_state.from_state({"deployment": {"resources": [entry(inputs=inputs)]}})
    assert resource.inputs == {"cidrBlock": "10.0.0.0/16"}


def test_resources_pending_deletion_are_ignored_and_foreign_ones_are_only_read() -> None:
    gone, read = entry(delete=True), entry(external=True)
    assert graph_state.from_state({"deployment": {"resources": [gone]}}) == []
    (resource,) = graph_state.from_state({"deployment": {"resources": [read]}})
    assert not resource.made
    assert resource.options == {"read": "vpc-0123456789abcdef0"}


def test_a_value_set_by_the_program_is_not_replaced_by_a_placeholder() -> None:
    """A bucket that exists is named by the user, not by the resource that names it, too."""
    arn = "arn:aws:iam::123456789012:role/theirs"
    inputs = {"roleArn": arn}
    role = entry(
        urn="urn:pulumi:s::p::t::user", type="aws:x/y:Y", inputs=inputs, outputs={"roleArn": arn}, id="a"
    )
    (resource,) = graph_state.from_state({"deployment": {"resources": [role]}})
    assert resource.inputs == inputs


@pytest.mark.parametrize(
    "export", [{}, {"deployment": None}, {"resources": [{}]}, {"version": 3, "deployment": {"resources": {}}}]
)
def test_a_document_that_is_not_a_state_is_refused(export: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no stack's state"):
        graph_state.from_state(export)


@pytest.mark.parametrize(
    "export", [{"deployment": {}}, {"checkpoint": {"latest": {"resources": []}}}, {"resources": []}]
)
def test_a_stack_without_resources_gives_an_empty_graph(export: dict[str, Any]) -> None:
    assert graph_state.from_state(export) == []
