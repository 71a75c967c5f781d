"""What a reviewer broke of sealers in a cluster in AWS, one after the other: each must be found."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.graph.resources import state as graph_state
from policies.evaluation.evaluation import judge
from tests import private
from tests.blueprints.bank import ROOT, STACK
from tests.graph.clouds import deployed
from tests.policies import mutating
from tests.policies.mutating import Change, document, words

OTHER = {"ArnEquals": {"aws:PrincipalArn": ["${insurer-frankfurt-eks-node-role.arn}"]}}
MINE = (
    "audit/seal",
    "audit/share",
    "audit/gateways",
    "identity/translators-only",
    "data-path/",
    "network/endpoints-answer-by-name",
)
SEALER = "insurer-frankfurt-internal-sealer"


@functools.cache
def platform() -> Platform:
    return private.platform()


@functools.cache
def rendered() -> rendering.Rendered:
    return recorded(platform())


def recorded(platform: Platform) -> rendering.Rendered:
    """Of a platform with one site in AWS, `frankfurt`, and its cluster."""

    def program() -> None:
        import pulumi
        from pulumi_aws import Provider
        from pulumi_kubernetes import Provider as Cluster

        from components import LlmPlatform
        from stacks import tagging

        tagging.tag_everything(pulumi.get_project(), "insurer")
        made: dict[str, pulumi.ProviderResource] = {
            "frankfurt": Provider("frankfurt", region="eu-central-1"),
            "frankfurt/kubernetes": Cluster("frankfurt-kubernetes", context="frankfurt"),
        }
        LlmPlatform("insurer", platform, made)

    return rendering.record_program(program, project.find_project(ROOT).stack(STACK))


def found(resources: Any) -> list[tuple[str, str, str]]:
    """What is said of gateways' records, and of who has an identity and goes where."""
    said = judge(resources, platform())
    return [(each.policy, each.verdict, each.message) for each in said if each.policy.startswith(MINE)]


def test_nothing_is_found_as_it_is_rendered_nor_as_it_stands() -> None:
    assert found(rendered().resources) == []
    assert found(graph_state.from_state(deployed(list(rendered().resources)))) == []


def pods(**changes: Any) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        inputs.update(changes)

    return change


def egress(cidr: str) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] = cidr

    return change


def _with(action: str) -> Change:
    return document(lambda said: said[0]["Action"].append(action))


def _known(name: str) -> Change:
    """The pod knows S3 at another address."""

    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["hostAliases"][0]["ip"] = name

    return change


BROKEN: dict[str, tuple[str, str, Change, str]] = {
    "an identity that another account of the namespace bears": (
        ":PodIdentityAssociation",
        f"{SEALER}-identity-pods",
        pods(serviceAccount="default"),
        "has no AWS identity, and its store names no credentials",
    ),
    "the sealer's identity at the gateway": (
        ":PodIdentityAssociation",
        f"{SEALER}-identity-pods",
        pods(namespace="isthmus-internal", serviceAccount="internal-gateway"),
        "seals nothing, and may s3:PutObject",
    ),
    "a way to the whole network": (
        ":NetworkPolicy",
        f"{SEALER}-network",
        egress("10.80.0.0/16"),
        "which is not its store",
    ),
    "a role that deletes": (
        ":RolePolicy",
        f"{SEALER}-identity-policy",
        _with("s3:DeleteObject"),
        "may s3:DeleteObject, which sealing does not take",
    ),
    "an endpoint that lets another in": (
        ":VpcEndpoint",
        "insurer-frankfurt-sealing-s3",
        document(lambda said: [each.update(Condition=OTHER) for each in said]),
        "does not let internal-sealer put seals",
    ),
    "a store at another address": (
        ":Deployment",
        f"{SEALER}-server",
        _known("10.80.9.9"),
        "which is no endpoint of S3 that is made here",
    ),
    "a store of somebody else's": (
        ":ConfigMap",
        f"{SEALER}-config",
        words("https://s3.eu-central-1.amazonaws.com", "https://s3.elsewhere.example"),
        "and the store of frankfurt is S3",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_of_these_is_found(what: str) -> None:
    kind, name, change, says = BROKEN[what]
    graph = mutating.altered(rendered().resources, kind, name, change)
    left = [each for each in rendered().resources if not each.made]
    said = found([*left, *graph.resources])
    assert [message for _, verdict, message in said if says in message and verdict == "violated"], said


def test_a_sealers_configuration_that_is_not_known_yet_is_undecided() -> None:
    def hidden(inputs: dict[str, Any]) -> None:
        inputs["data"] = "${insurer-frankfurt-bucket.unknown}"

    graph = mutating.altered(rendered().resources, ":ConfigMap", f"{SEALER}-config", hidden)
    left = [each for each in rendered().resources if not each.made]
    said = found([*left, *graph.resources])
    assert ("audit/sealed-at-home", "undecided") in {(policy, verdict) for policy, verdict, _ in said}
    assert {verdict for _, verdict, _ in said} == {"undecided"}, said


def test_who_runs_up_in_the_network_is_admitted_and_no_rule_is_broken() -> None:
    data = private.data()
    deployer = "arn:aws:iam::123456789012:role/isthmus-deploy"
    services = [*data["networks"][0].get("services", []), "kms", "logs", "cloudtrail"]
    data["networks"][0] |= {"deployers": [deployer], "services": services}
    allowing = overrides.validate(data)
    resources = recorded(allowing).resources
    made = {each.name: each for each in resources if each.type.endswith(":VpcEndpoint")}
    assert deployer in made["insurer-frankfurt-endpoints-cloudtrail"].inputs["policy"]
    assert deployer not in made["insurer-frankfurt-endpoints-bedrock-runtime"].inputs["policy"]
    before = {(each.policy, each.message) for each in judge(rendered().resources, platform())}
    after = {(each.policy, each.message) for each in judge(resources, allowing)}
    assert after <= before, after - before
