"""References of values that are unknown in a preview: to the resources that their property depends on."""

from __future__ import annotations

import json
import re
from typing import Any

from isthmus.core.pulumi_values import UNKNOWN
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.references import undecided, with_references
from isthmus.graph.resources.resources import Graph, join_layers
from isthmus.graph.resources.state import Stated
from policies.rules.rule import Subject
from tests.blueprints.bank import platform, rendered
from tests.policies import holding

VPC = Stated("urn:pulumi:s::p::aws:ec2/vpc:Vpc::net", "aws:ec2/vpc:Vpc", "net", {})


def gateway_attachment(inputs: dict[str, Any], needs: list[str]) -> Stated:
    kind = "aws:ec2/internetGateway:InternetGateway"
    return Stated(
        f"urn:pulumi:s::p::{kind}::way", kind, "way", inputs, property_dependencies={"vpcId": needs}
    )


def test_an_unknown_value_refers_to_what_its_property_depends_on() -> None:
    graph = Graph([VPC, gateway_attachment({"vpcId": UNKNOWN}, [VPC.urn])])
    (gateway,) = graph.of(":InternetGateway")
    assert graph.referred(gateway.inputs["vpcId"], ":Vpc") == [VPC]
    assert undecided(gateway.inputs["vpcId"])


def test_a_reference_is_found_within_lists_and_maps() -> None:
    reference = with_references(gateway_attachment({"vpcId": [{"a": [UNKNOWN]}]}, [VPC.urn]))
    assert Graph([VPC, reference]).referred(reference.inputs) == [VPC]


def test_a_resource_without_unknown_values_or_dependencies_stays_unchanged() -> None:
    known_reference = gateway_attachment({"vpcId": "${net.id}"}, [VPC.urn])
    assert with_references(known_reference) is known_reference
    nothing = gateway_attachment({"vpcId": UNKNOWN}, [])
    assert with_references(nothing) is nothing
    assert Graph([VPC, nothing]).referred(nothing.inputs) == []


def hidden(value: Any) -> Any:
    """As the engine has it before the first `up`: a text with a part that only a cloud knows is unknown whole."""
    if isinstance(value, dict):
        return {key: hidden(element) for key, element in value.items()}
    if isinstance(value, list):
        return [hidden(element) for element in value]
    is_known = not isinstance(value, str) or "${" not in value.replace("${aws.accountId}", "")
    return value if is_known else UNKNOWN


def first_preview() -> list[Stated]:
    """Names that end in a digest of such a text are unknown, too, and so is what mounts them."""
    unknown_resources = [
        Stated(**{**_fields(resource), "inputs": hidden(resource.inputs)})
        for resource in rendered().resources
    ]
    maps = [resource.inputs for resource in unknown_resources if resource.type.endswith(":ConfigMap")]
    names = {map["metadata"]["name"] for map in maps if UNKNOWN in json.dumps(map.get("data"))}
    text = re.compile("|".join(map(re.escape, sorted(names))))
    return [
        Stated(**{**_fields(resource), "inputs": json.loads(text.sub(UNKNOWN, json.dumps(resource.inputs)))})
        for resource in unknown_resources
    ]


def test_references_in_a_first_preview_equal_those_of_the_rendering() -> None:
    known_graph, unknown = join_layers(rendered().resources), join_layers(first_preview())
    for kind, prop in ((":Role", "permissionsBoundary"), (":VpcEndpoint", "vpcId"), (":Subnet", "vpcId")):
        for known_resource, unknown_resource in zip(known_graph.of(kind), unknown.of(kind), strict=True):
            names = [resource.name for resource in known_graph.referred(known_resource.inputs.get(prop))]
            assert [
                resource.name for resource in unknown.referred(unknown_resource.inputs.get(prop))
            ] == names
            assert names, known_resource.name


def test_a_rule_that_meets_an_unknown_value_is_undecided() -> None:
    subject = Subject(Graph(first_preview()), platform())
    rules = [broken for rule in holding.RULES.values() for broken in rule.check(subject)]
    assert [finding.message for finding in rules if finding.verdict == "violated"] == []
    for part in (
        "the policy of bank-frankfurt-endpoints-bedrock-runtime is not known",
        "bank-internal-frankfurt-policy, whose words are not known before it is made",
        "the words of bank-fra1-internal-gateway-translator-config are not known",
        "the configuration of internal-translator is not known",
    ):
        assert any(part in finding.message for finding in rules), part


def test_in_a_first_preview_only_internal_paths_are_undecided() -> None:
    paths = data_paths(Graph(first_preview()), platform())
    assert {path.class_: path.verdict for path in paths if path.workload} == {
        **{"public": "allowed", "internal": "undecided"},
        **{"confidential": "allowed", "restricted": "allowed"},
    }


def _fields(resource: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(resource).items() if key in Stated.__dataclass_fields__}
