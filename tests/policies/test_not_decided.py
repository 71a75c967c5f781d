"""Values that are unknown or unreadable give an undecided finding, not a pass."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.policy_settings import Figures, Settings
from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.inputs import changed
from tests.policies import cases_accounts, cases_capacity
from tests.policies.cases_accounts import borne
from tests.policies.cases_aws import policy
from tests.policies.cases_capacity import QUOTA, group
from tests.policies.cases_cluster import BOX, FIRST, GPU, deployment
from tests.policies.cases_inside import lets_in, namespace_of_class
from tests.policies.cases_serving import MODEL
from tests.policies.making import findings_of, resource_of
from tests.policies.test_rule_scope import BY_ID, about

SUBNETS = [resource_of("aws:ec2/subnet:Subnet", name, {}) for name in ("one", "two")]
BOUND = "spec.hard.[requests.nvidia.com/gpu]"
CLASS = {"isthmus.dev/class": "internal"}


def verdicts(rule: str, *graph: Resource, platform: Any = None) -> set[str]:
    """The verdicts of a rule. Each finding must be about a resource that the rule applies to."""
    findings = findings_of(rule, *graph, platform=platform)
    assert {finding.resource for finding in findings} <= about(BY_ID[rule], list(graph), platform)
    return {finding.verdict for finding in findings}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("${network.subnets}", ["subnet-a"], {"undecided"}),
        (["${network.private.0}"], ["${network.private.1}"], {"undecided"}),
        # As the engine names both where a property depends on several subnets that are yet to be made.
        (["${one.unknown}${two.unknown}"], ["${one.unknown}${two.unknown}"], {"undecided"}),
        (["${one.id}"], ["${two.id}"], set()),
        (["${one.id}"], ["${one.id}"], {"violated"}),
        ("${network.subnets}", ["subnet-a", "subnet-b"], set()),
    ],
)
@pytest.mark.parametrize("pool", ["system", "h100"])
def test_nodes_in_unknown_zones_are_undecided(pool: str, first: Any, second: Any, expected: set[str]):
    machines = [group(name, "a", pool, subnetIds=subnets) for name, subnets in (("s", first), ("t", second))]
    findings = verdicts("reliability/machines-in-zones", *machines, *SUBNETS, platform=cases_capacity.WORD)
    assert findings == expected


@pytest.mark.parametrize("bound", ["${other.gpus}", "1Ki", "many"])
def test_a_quota_that_is_not_a_number_is_undecided(bound: str):
    assert verdicts("cost/fits-quota", *changed([QUOTA, GPU], {BOUND: bound})) == {"undecided"}


def test_an_unknown_quota_is_undecided():
    assert verdicts("cost/fits-quota", *changed([QUOTA, GPU], {"spec.hard": "${other.hard}"})) == {
        "undecided"
    }
    assert verdicts("cost/fits-quota", *changed([QUOTA], {"spec.hard": "${other.hard}"})) == set(), (
        "nobody takes any"
    )


def test_a_readable_quota_still_applies_beside_an_unknown_one():
    second = resource_of(QUOTA.type, "second", changed([QUOTA], {BOUND: "${other.gpus}"})[0].inputs)
    many = deployment({**BOX, "resources": {"limits": {"nvidia.com/gpu": "3"}}}, "many")
    for quotas in ([QUOTA, second], [second, QUOTA]):
        assert verdicts("cost/fits-quota", *quotas, many) == {"undecided", "violated"}


@pytest.mark.parametrize("limits", ["${other.limits}", {"nvidia.com/gpu": "${other.gpus}"}])
def test_a_workload_with_an_unknown_number_of_gpus_is_undecided(limits: Any):
    pod = deployment({**BOX, "resources": {"limits": limits}}, "blurred")
    assert verdicts("cost/fits-quota", QUOTA, pod) == {"undecided"}


@pytest.mark.parametrize(
    "values",
    [
        {"spec.ingress": "${other.rules}"},
        {"spec.ingress": ["${other.rule}"]},
        {"spec.ingress": [{"from": "${other.peers}"}]},
        {"spec.ingress": [{"from": ["${other.peer}"]}]},
        {"spec.ingress": [{"from": [{"namespaceSelector": {"matchLabels": "${other.labels}"}}]}]},
        {
            "spec.ingress": [
                {"from": [{"namespaceSelector": {"matchLabels": {"isthmus.dev/class": "${other.class}"}}}]}
            ]
        },
        {"spec": "${other.spec}"},
    ],
)
def test_unknown_ingress_peers_of_a_class_are_undecided(values: dict[str, Any]):
    graph = changed([lets_in(matchLabels=CLASS), namespace_of_class("internal")], values)
    assert verdicts("data-path/lets-in-own-class", *graph) == {"undecided"}


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None}, {"ports": [{"port": 8443}]}])
def test_an_ingress_rule_without_from_admits_everybody(rule: dict[str, Any]):
    graph = changed([lets_in(matchLabels=CLASS), namespace_of_class("internal")], {"spec.ingress": [rule]})
    assert verdicts("data-path/lets-in-own-class", *graph) == {"violated"}


@pytest.mark.parametrize("ingress", [[], None])
def test_a_network_policy_without_rules_admits_nobody(ingress: Any):
    graph = changed([lets_in(matchLabels=CLASS), namespace_of_class("internal")], {"spec.ingress": ingress})
    assert verdicts("data-path/lets-in-own-class", *graph) == set()
    assert about(BY_ID["data-path/lets-in-own-class"], graph) == {"in"}


def trusts(principal: str) -> Resource:
    return borne({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}})


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("${other.arn}", {"undecided"}),
        ("arn:aws:iam::${other.account}:root", {"undecided"}),
        ("arn:aws:iam::${aws.accountId}:root", set()),
        ("${caller.arn}", set()),
        ("${sign-on.arn}", set()),
        ("${partner.arn}", {"undecided"}),
    ],
)
def test_an_unknown_principal_is_undecided_unless_it_is_in_the_own_account(
    principal: str, expected: set[str]
):
    caller = resource_of("aws:iam/role:Role", "caller", {"assumeRolePolicy": policy()})
    partner = resource_of("aws:ssm/parameter:Parameter", "partner", {})
    sign_on = resource_of("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "sign-on", {})
    assert (
        verdicts(
            "identity/our-accounts",
            *(trusts(principal), caller, partner, sign_on),
            platform=cases_accounts.WORD,
        )
        == expected
    )


@pytest.mark.parametrize(
    "values",
    [
        {f"{FIRST}.lifecycle": "${other.lifecycle}"},
        {f"{FIRST}.lifecycle.preStop": "${other.hook}"},
        {f"{FIRST}.lifecycle.preStop": {"sleep": {"seconds": "${other.seconds}"}}},
        {f"{FIRST}.lifecycle.preStop": {"exec": {"command": "${other.command}"}}},
        {f"{FIRST}.lifecycle.preStop": {"exec": {"command": ["sleep", "${other.seconds}"]}}},
        {f"{FIRST}.args": ["--shutdown-timeout=${other.seconds}"]},
        {f"{FIRST}.args": "${other.args}"},
    ],
)
def test_an_unknown_shutdown_time_of_a_pod_is_undecided(values: dict[str, Any]):
    assert verdicts("reliability/ends-in-order", *changed([MODEL], values)) == {"undecided"}


def test_a_stop_hook_that_runs_sleep_counts_as_shutdown_time():
    for command in (["sleep", "30"], ["/bin/sh", "-c", "sleep 30 && kill 1"]):
        slept = {f"{FIRST}.lifecycle.preStop": {"exec": {"command": command}}}
        assert verdicts("reliability/ends-in-order", *changed([MODEL], slept)) == {"violated"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("registry.bank.example/weights:1", {"violated"}),
        (None, {"violated"}),
        ("${mirror.url}/weights:1", {"undecided"}),
        ("${mirror.url}/weights@sha256:" + "a" * 64, set()),
    ],
)
def test_an_image_volume_needs_a_digest_like_a_container_image(reference: Any, expected: set[str]):
    volumes = [{"name": "weights", "image": {"reference": reference}}, {"name": "tmp", "emptyDir": {}}]
    assert (
        verdicts("workload/images-by-digest", deployment(BOX, "model", pod={"volumes": volumes})) == expected
    )


def test_unknown_volumes_are_undecided_because_they_may_be_images():
    for volumes in (
        "${other.volumes}",
        ["${other.volume}"],
        [{"name": "weights", "image": "${other.image}"}],
    ):
        pod = deployment(BOX, "model", pod={"volumes": volumes})
        assert verdicts("workload/images-by-digest", pod) == {"undecided"}


def test_an_image_volume_must_come_from_an_allowed_registry():
    volumes = [{"name": "weights", "image": {"reference": "docker.io/someone/weights@sha256:" + "a" * 64}}]
    pod = deployment(BOX, "model", pod={"volumes": volumes})
    settings = Settings(
        figures=Figures(registries=[str(BOX["image"]).partition("/")[0], "registry.bank.example"])
    )
    findings = findings_of("workload/our-registries", pod, settings=settings)
    assert [finding.message for finding in findings if "weights" in finding.message]
