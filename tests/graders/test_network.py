"""By an independent analyser, the rendered policies let through what the classes allow, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.graders import examples, manifests, network
from tests.graders.examples import Rendering
from tests.graders.manifests import Body
from tests.laying import lay

NAMES = examples.names()


def sites(rendering: Rendering) -> list[str]:
    """Sites with pods. One that has none and gateways all the same runs them on something else than Kubernetes."""
    written = rendering.folder / "kubernetes"
    folders = sorted(path.name for path in written.iterdir()) if written.is_dir() else []
    inside = {
        gateway["site"] for gateway in rendering.platform["gateways"] if gateway.get("runs_on") != "fargate"
    }
    assert inside == set(folders), f"gateways of clusters at {inside}, and manifests of {folders}"
    return folders


def bodies(rendering: Rendering, site: str) -> list[Body]:
    return manifests.read(sorted((rendering.folder / "kubernetes" / site).glob("*/*.yaml")))


@pytest.fixture(scope="module")
def ways_found(
    rendered: dict[str, Rendering], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, set[network.Way]]]:
    """What the analyser says of each rendering's sites."""
    folder = tmp_path_factory.mktemp("network")
    return {
        name: {
            site: network.ways_of(bodies(rendering, site), folder / name / site) for site in sites(rendering)
        }
        for name, rendering in rendered.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_paths_that_the_classes_allow_are_open(rendered, ways_found, name: str):
    for site, connections in ways_found[name].items():
        allowed = network.allowed(rendered[name].platform, site)
        assert allowed or not manifests.of_kind(bodies(rendered[name], site), "NetworkPolicy")
        assert (connections - allowed, allowed - connections) == (set(), set()), (
            f"{name}, {site}: more, and less"
        )


@pytest.mark.parametrize("name", NAMES)
def test_traffic_leaves_a_cluster_only_to_allowed_targets(rendered, ways_found, name: str):
    for site, connections in ways_found[name].items():
        assert network.beyond(connections, rendered[name].platform, site) == set()


def test_fetch_jobs_reach_only_their_store(tmp_path: Path):
    """By a job into a volume, and by a DaemonSet onto the machines' disks: no example has either."""
    overrides = lay(tmp_path, bank=True) / "Pulumi.bank-dev.yaml"
    file = YAML()
    stack = file.load(overrides)
    for endpoint, cache in zip(
        stack["config"]["isthmus:overrides"]["endpoints"],
        ({"node_path": "/mnt/nvme"}, {"storage_class": "shared"}),
        strict=True,
    ):
        store = {
            **{"endpoint": "https://s3.fra1.bank.example:9000", "address": "10.40.3.10"},
            "credentials_secret": "s3",
        }
        digest = endpoint["weights"]["digest"]
        endpoint["weights"] = {"uri": "s3://models/a", "digest": digest, "store": store, "cache": cache}
    file.dump(stack, overrides)
    rendering = examples.render_example("bank-dev", tmp_path, tmp_path / "out")
    assert {"DaemonSet", "Job"} <= {body["kind"] for body in bodies(rendering, "fra1")}
    # A job's name tells what it fetches.
    connections = {
        connection._replace(source=re.sub(r"-fetch-[0-9a-f]{10}$", "-fetch", connection.source))
        for connection in network.ways_of(bodies(rendering, "fra1"), tmp_path / "net")
    }
    allowed = network.allowed(rendering.platform, "fra1")
    assert (connections - allowed, allowed - connections) == (set(), set()), "more, and less"
    fetching = {connection for connection in connections if connection.source.endswith("-fetch")}
    assert {connection.target for connection in fetching} == {"10.40.3.10"}
    assert len(fetching) == 2
    assert network.beyond(connections, rendering.platform, "fra1") == set()


def test_a_way_out_that_a_class_may_not_have_is_seen(rendered):
    connections = {
        network.Way(f"isthmus-{class_}/some-pod", network.span(cidr), "TCP", "443")
        for class_, cidr in [
            ("restricted", "10.80.0.0/16"),
            ("internal", "10.80.0.0/16"),
            ("internal", "10.0.0.0/8"),
            ("restricted", "10.40.7.0/24"),
        ]
    }
    seen_ways = {
        (connection.source, connection.target)
        for connection in network.beyond(connections, rendered["bank-dev"].platform, "fra1")
    }
    assert seen_ways == {
        ("isthmus-restricted/some-pod", "10.80.0.0-10.80.255.255"),
        ("isthmus-internal/some-pod", "10.0.0.0-10.255.255.255"),
    }


def opened(policy: Body) -> None:
    policy["spec"]["egress"] = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]


def let_in(policy: Body) -> None:
    policy["spec"]["ingress"][0]["from"] = [{"namespaceSelector": {}}]


def another_class(policy: Body) -> None:
    connection = policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"]
    connection["matchLabels"]["isthmus.dev/class"] = "public"


def every_port(policy: Body) -> None:
    del policy["spec"]["ingress"][0]["ports"]


def every_group(policy: Body) -> None:
    for connection in (
        policy["spec"]["ingress"][0]["from"][0],
        policy["spec"]["egress"][0]["to"][0],
        policy["spec"],
    ):
        del connection["podSelector"]["matchLabels"]["leaderworkerset.sigs.k8s.io/group-index"]


# The example, the policy, what is done to it, and what must then be found.
BROKEN = {
    "the translator may go anywhere": ("bank-dev", "internal-translator", opened, "internal-translator"),
    "everybody may call the gateway": ("bank-dev", "restricted-gateway", let_in, "stranger/app"),
    "another class may call the gateway": ("bank-dev", "internal-gateway", another_class, "app-public/app"),
    "the gateway has every port open": ("pilot", "internal-gateway", every_port, "internal-gateway"),
    "groups reach each other": ("sovereign", "restricted-deepseek-v3-group-0", every_group, "group-1"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_policy_that_lets_through_more_is_seen(rendered, tmp_path: Path, message: str):
    name, policy, change, expected = BROKEN[message]
    (site,) = sites(rendered[name])
    broken = bodies(rendered[name], site)
    (spoilt,) = manifests.of_kind(broken, "NetworkPolicy", policy)
    change(spoilt)
    more = network.ways_of(broken, tmp_path) - network.allowed(rendered[name].platform, site)
    assert any(expected in connection.source + connection.target for connection in more), more


@pytest.mark.parametrize(
    ("policy", "less"),
    [
        ("default-deny", False),
        ("to-internal-resolver", True),
        ("internal-gateway-to-internal-qwen3-14b", True),
    ],
)
def test_a_policy_that_is_missing_is_seen(rendered, tmp_path: Path, policy: str, less: bool):
    (site,) = sites(rendered["pilot"])
    all_bodies = bodies(rendered["pilot"], site)
    of_kind = manifests.of_kind(all_bodies, "NetworkPolicy", policy)
    (gone,) = [body for body in of_kind if body["metadata"]["namespace"] == "isthmus-internal"]
    connections = network.ways_of([body for body in all_bodies if body is not gone], tmp_path)
    allowed = network.allowed(rendered["pilot"].platform, site)
    assert bool(allowed - connections) == less
    assert bool(connections - allowed) != less
