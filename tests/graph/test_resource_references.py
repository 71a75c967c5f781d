"""What is unknown as a whole refers to what its property is made of."""

from __future__ import annotations

import json
import re
from typing import Any

from isthmus.core.pulumi_values import UNKNOWN
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.references import linked, undecided
from isthmus.graph.resources.resources import Graph, joined
from isthmus.graph.resources.state import Stated
from policies.rules.rule import Subject
from tests.blueprints.bank import platform, rendered
from tests.policies import holding

VPC = Stated("urn:pulumi:s::p::aws:ec2/vpc:Vpc::net", "aws:ec2/vpc:Vpc", "net", {})


def way(inputs: dict[str, Any], needs: list[str]) -> Stated:
    kind = "aws:ec2/internetGateway:InternetGateway"
    return Stated(
        f"urn:pulumi:s::p::{kind}::way", kind, "way", inputs, property_dependencies={"vpcId": needs}
    )


def test_an_unknown_value_refers_to_what_its_property_depends_on() -> None:
    graph = Graph([VPC, way({"vpcId": UNKNOWN}, [VPC.urn])])
    (found,) = graph.of(":InternetGateway")
    assert graph.referred(found.inputs["vpcId"], ":Vpc") == [VPC]
    assert undecided(found.inputs["vpcId"])


def test_it_is_found_within_lists_and_maps_too() -> None:
    made = linked(way({"vpcId": [{"a": [UNKNOWN]}]}, [VPC.urn]))
    assert Graph([VPC, made]).referred(made.inputs) == [VPC]


def test_what_is_known_stays_as_it_is() -> None:
    known = way({"vpcId": "${net.id}"}, [VPC.urn])
    assert linked(known) is known
    nothing = way({"vpcId": UNKNOWN}, [])
    assert linked(nothing) is nothing
    assert Graph([VPC, nothing]).referred(nothing.inputs) == []


def hidden(value: Any) -> Any:
    """As the engine has it before the first `up`: a text with a part that only a cloud knows is unknown whole."""
    if isinstance(value, dict):
        return {key: hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    known = not isinstance(value, str) or "${" not in value.replace("${aws.accountId}", "")
    return value if known else UNKNOWN


def first_preview() -> list[Stated]:
    """Names that end in a digest of such a text are unknown, too, and so is what mounts them."""
    made = [Stated(**{**_fields(each), "inputs": hidden(each.inputs)}) for each in rendered().resources]
    maps = [each.inputs for each in made if each.type.endswith(":ConfigMap")]
    names = {each["metadata"]["name"] for each in maps if UNKNOWN in json.dumps(each.get("data"))}
    text = re.compile("|".join(map(re.escape, sorted(names))))
    return [
        Stated(**{**_fields(each), "inputs": json.loads(text.sub(UNKNOWN, json.dumps(each.inputs)))})
        for each in made
    ]


def test_references_of_a_stack_that_is_not_made_yet_are_found_by_what_its_properties_depend_on() -> None:
    known, unknown = joined(rendered().resources), joined(first_preview())
    for kind, prop in ((":Role", "permissionsBoundary"), (":VpcEndpoint", "vpcId"), (":Subnet", "vpcId")):
        for one, other in zip(known.of(kind), unknown.of(kind), strict=True):
            names = [each.name for each in known.referred(one.inputs.get(prop))]
            assert [each.name for each in unknown.referred(other.inputs.get(prop))] == names
            assert names, one.name


def test_a_rule_that_meets_what_is_not_known_yet_says_so_and_accuses_nobody() -> None:
    subject = Subject(Graph(first_preview()), platform())
    said = [broken for rule in holding.RULES.values() for broken in rule.check(subject)]
    assert [each.message for each in said if each.verdict == "violated"] == []
    for part in (
        "the policy of bank-frankfurt-endpoints-bedrock-runtime is not known",
        "bank-internal-frankfurt-policy, whose words are not known before it is made",
        "the words of bank-fra1-internal-gateway-translator-config are not known",
        "the configuration of internal-translator is not known",
    ):
        assert any(part in each.message for each in said), part


def test_public_work_is_judged_by_what_is_known() -> None:
    paths = data_paths(Graph(first_preview()), platform())
    assert {each.class_: each.verdict for each in paths if each.workload} == {
        **{"public": "allowed", "internal": "undecided"},
        **{"confidential": "allowed", "restricted": "allowed"},
    }


def _fields(each: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(each).items() if key in Stated.__dataclass_fields__}
