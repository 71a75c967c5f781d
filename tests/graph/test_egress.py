"""Exits of a class beside its gateway, on small stacks: by network policy, by AWS identity and by host."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.dns import ClusterDns
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Site
from isthmus.engine.render.recorder import Resource
from tests.graph.small_stacks import (
    NETWORK,
    block,
    closed,
    deployment,
    namespace,
    network_fields,
    network_policy,
    paths_of,
    platform,
    pod_identity,
    private_endpoint,
    private_url,
    verdicts,
    vpc,
)
from tests.policies.making import resource_of

HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
DNS_PORT = [{"port": 53}]
HTTPS_PORT = [{"port": 443}]


def pods_of(name: str, **labels: str) -> dict[str, Any]:
    """A peer: pods with these labels in a namespace."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "podSelector": {"matchLabels": labels},
    }


KUBE_DNS = pods_of("kube-system", **{"k8s-app": "kube-dns"})


# Network policies.


def cilium(namespace_: str | None) -> Resource:
    meta = {"name": "cilium", **({"namespace": namespace_} if namespace_ else {})}
    return resource_of("kubernetes:cilium.io/v2:CiliumNetworkPolicy", "cilium", {"metadata": meta})


@pytest.mark.parametrize(
    ("policy_namespace", "expected"),
    [("apps", {("cilium", "undecided")}), (None, {("cilium", "undecided")}), ("elsewhere", set())],
)
def test_a_plugins_network_policy_is_undecided_in_its_own_namespace_and_everywhere_if_it_has_none(
    policy_namespace: str | None, expected: set[Any]
) -> None:
    assert verdicts(*closed(), cilium(policy_namespace)) == expected


def test_pods_may_reach_pods_of_their_own_class_in_another_namespace_and_no_others() -> None:
    peer = pods_of("other", app="target")
    for class_, expected in (("internal", set()), ("public", {("other/target", "refused")})):
        resources = [
            *closed(),
            *closed(class_, "other"),
            *deployment(),
            *deployment("target", "other"),
            network_policy(peer),
        ]
        internal = {
            (path.hops[-1].name, path.verdict)
            for path in paths_of(*resources)
            if path.class_ == "internal" and path.verdict != "allowed"
        }
        assert internal == expected


def test_public_pods_may_reach_pods_of_no_known_class_but_internal_ones_are_undecided() -> None:
    for class_, expected in (("public", set()), ("internal", {("other/target", "undecided")})):
        resources = [
            *closed(class_),
            *closed(None, "other"),
            *deployment("target", "other"),
            network_policy(pods_of("other", app="target")),
        ]
        assert verdicts(*resources) == expected


def test_pods_labelled_of_another_class_than_their_namespace_are_refused() -> None:
    for class_, expected in (
        ("public", {("apps/work", "refused")}),
        ("internal", set()),
    ):
        pods = deployment(labels={"isthmus.dev/class": class_})
        found = {
            (path.hops[-1].name, path.verdict)
            for path in paths_of(*closed(), *pods)
            if path.verdict != "allowed"
        }
        assert found == expected


@pytest.mark.parametrize(
    ("class_", "cidr", "port", "verdict"),
    [
        ("public", "8.8.8.0/24", 80, "allowed"),
        ("internal", "8.8.8.0/24", 443, "refused"),
        ("internal", "10.40.3.0/24", 80, "allowed"),
        ("restricted", "10.40.3.0/24", 80, "allowed"),
        ("internal", "10.80.3.0/24", 443, "allowed"),
        ("internal", "10.80.3.0/24", 80, "refused"),
        ("restricted", "10.80.3.0/24", 443, "refused"),
        ("internal", "10.0.0.0/8", 443, "refused"),
        ("restricted", "10.90.1.0/24", 443, "refused"),
        ("restricted", "10.70.0.0/16", 443, "refused"),
        ("internal", "10.70.0.0/16", 443, "refused"),
        ("internal", "fd00::/64", 443, "refused"),
    ],
)
def test_an_address_is_allowed_only_at_a_site_or_in_a_network_of_the_class(
    class_: str, cidr: str, port: int, verdict: str
) -> None:
    resources = [*closed(class_), network_policy(block(cidr), ports=[{"port": port}])]
    paths = paths_of(*resources, platform=platform(class_))
    assert {path.verdict for path in paths if path.class_ == class_ and cidr in path.id} == {verdict}


@pytest.mark.parametrize(
    "fields", [{"mode": "off"}, {"classes": ["public"]}, {"cidr": None, "mode": "existing", "vpc": "vpc-0"}]
)
def test_a_network_that_is_off_of_another_class_or_without_addresses_carries_no_internal_work(
    fields: dict[str, Any],
) -> None:
    base = platform()
    base.networks[0] = Network.model_validate(network_fields("internal", **fields))
    assert ("10.80.3.0/24 port 443", "refused") in verdicts(
        *closed(), network_policy(block("10.80.3.0/24"), ports=HTTPS_PORT), platform=base
    )


@pytest.mark.parametrize(
    ("class_", "cidr", "extra", "verdict"),
    [
        ("internal", "10.70.0.0/16", [], "undecided"),
        ("internal", "8.8.8.0/24", [], "refused"),
        ("internal", NETWORK, [vpc()], "refused"),
        ("internal", NETWORK, [vpc(), private_endpoint()], "allowed"),
        ("restricted", NETWORK, [vpc(), private_endpoint()], "refused"),
        ("restricted", "10.70.0.0/16", [vpc()], "undecided"),
        ("restricted", NETWORK, [vpc()], "refused"),
    ],
)
def test_without_a_platform_an_address_is_judged_by_the_vpcs_of_the_stack(
    class_: str, cidr: str, extra: list[Resource], verdict: str
) -> None:
    paths = paths_of(*closed(class_), network_policy(block(cidr), ports=HTTPS_PORT), *extra)
    assert {path.verdict for path in paths if cidr in path.id} == {verdict}


def test_an_egress_path_shows_the_site_that_holds_its_addresses() -> None:
    for cidr, expected in (("10.40.3.0/24", ["10.40.3.0/24", "fra1"]), ("10.41.0.0/24", ["10.41.0.0/24"])):
        (path, *_) = [
            path
            for path in paths_of(*closed(), network_policy(block(cidr)), platform=platform())
            if cidr in path.id
        ]
        assert [hop.name for hop in path.hops[1:]] == expected
        assert path.hops[1].where == (expected[1] if len(expected) > 1 else "")


# DNS resolvers.


def sites(**dns: Any) -> list[Site]:
    return [Site(name="fra1", kind="on-prem", jurisdiction="de", cluster_dns=ClusterDns(**dns))]


@pytest.mark.parametrize(
    ("role", "filters", "class_", "may_resolve"),
    [
        ("resolver", True, "internal", True),
        ("gateway", True, "internal", False),
        ("gateway", False, "internal", True),
        ("resolver", True, "restricted", False),
        ("gateway", False, "restricted", False),
    ],
)
def test_only_a_classs_resolver_uses_the_clusters_dns_where_the_site_filters_names(
    role: str, filters: bool, class_: str, may_resolve: bool
) -> None:
    resources = [
        *closed(class_),
        *deployment(role=role),
        network_policy(KUBE_DNS, ports=DNS_PORT, **{"isthmus.dev/role": role}),
    ]
    found = verdicts(*resources, platform=platform(class_, sites=sites(filter=filters)))
    selectors = "kubernetes.io/metadata.name=kube-system, k8s-app=kube-dns"
    assert ((selectors, "undecided") not in found) == may_resolve


def test_the_proxies_of_a_router_use_the_clusters_dns_where_the_site_filters_names() -> None:
    proxy = {"gateway.networking.k8s.io/gateway-name": "router"}
    for labels, expected in ((proxy, set()), ({"app": "work"}, 1)):
        resources = [
            *closed(),
            *deployment(labels=labels),
            network_policy(KUBE_DNS, ports=DNS_PORT, **labels),
        ]
        found = verdicts(*resources, platform=platform(sites=sites()))
        assert len(found) == (expected or 0)


@pytest.mark.parametrize(
    ("cidr", "port", "may_resolve"),
    [("169.254.20.10/32", 53, True), ("169.254.20.10/32", 80, False), ("169.254.20.11/32", 53, False)],
)
def test_a_resolver_by_address_is_reached_only_at_its_address_and_port(
    cidr: str, port: int, may_resolve: bool
) -> None:
    resources = [*closed(), *deployment(), network_policy(block(cidr), ports=[{"port": port}])]
    base = platform(sites=sites(filter=False, presets=["node-local-dns"]))
    assert (verdicts(*resources, platform=base) == set()) == may_resolve


def test_without_a_platform_the_usual_resolver_of_a_cluster_is_no_exit() -> None:
    resources = [*closed(), *deployment()]
    assert verdicts(*resources, network_policy(KUBE_DNS, ports=DNS_PORT)) == set()
    other = pods_of("kube-system", **{"k8s-app": "other"})
    assert len(verdicts(*resources, network_policy(other, ports=DNS_PORT))) == 1


# Routers.


ROUTER = {
    "gateway_class": "envoy",
    "service": "router",
    "ca": "ca",
    "control_namespace": "envoy-system",
    "control_port": 18000,
}


def to_selectors(*peers: dict[str, Any], platform_: Platform | None = None, **more: Any) -> set[str]:
    resources = [*closed(), *deployment(), network_policy(*peers), *more.get("resources", [])]
    return {name for name, _ in verdicts(*resources, platform=platform_)}


def router(in_: str) -> Resource:
    return resource_of(
        "kubernetes:gateway.networking.k8s.io/v1:Gateway",
        f"{in_}-router",
        {"metadata": {"name": "router", "namespace": in_}},
    )


def test_the_proxies_of_a_router_in_the_same_namespace_are_no_exit() -> None:
    proxies = {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "router"}}}
    assert to_selectors(proxies, resources=[router("apps")]) == set()
    assert len(to_selectors(proxies, resources=[router("elsewhere")])) == 1
    assert len(to_selectors(proxies)) == 1


def test_the_proxies_of_a_router_are_no_exit_of_another_namespace_whose_pods_call_the_gateway() -> None:
    """A chat: its gateway is in the namespace of the class, and a router behind it."""
    proxies = {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "router"}}}
    chat = [
        *closed(name="chat"),
        *deployment("chat", "chat"),
        network_policy(pods_of("apps", app="work"), in_="chat"),
    ]
    gateway = [*closed(), *deployment(), network_policy(proxies)]
    assert verdicts(*chat, *gateway, router("apps")) == set()
    assert len(verdicts(*chat, *gateway, router("chat"))) == 1


def test_the_control_plane_of_a_router_is_no_exit_for_the_gateways_class_alone() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "envoy-system"}}}
    assert to_selectors(peer, platform_=platform(router=ROUTER)) == set()
    assert len(to_selectors(peer, platform_=platform("public", router=ROUTER))) == 1
    assert len(to_selectors(peer, platform_=platform())) == 1


def test_the_endpoint_picker_of_a_class_is_no_exit_for_this_class_alone() -> None:
    peer = {"podSelector": {"matchLabels": {"app": "picker"}}}
    for class_, expected in (("internal", 0), ("public", 1)):
        picker = {"service": "picker", "labels": {"app": "picker"}}
        fields = {"id": "llama", "class": class_, "site": "fra1", "target": "onprem-vllm", "model": "m"}
        base = platform()
        base.endpoints[:] = [Endpoint.model_validate({**fields, "picker": picker})]
        assert len(to_selectors(peer, platform_=base)) == expected
        base.endpoints[:] = [Endpoint.model_validate(fields)]
        assert len(to_selectors(peer, platform_=base)) == 1


# Databases, trace collectors, private endpoints and identity sources.


DATABASE = {"host": "db.bank.example", "address": "10.80.7.7"}
TRACES = {"endpoint": "https://traces.bank.example:4318/v1", "address": "10.80.8.8"}


@pytest.mark.parametrize(
    ("role", "cidr", "port", "verdict"),
    [
        ("gateway", "10.80.7.7/32", 5432, "allowed"),
        ("reviews", "10.80.7.7/32", 5432, "allowed"),
        ("translator", "10.80.7.7/32", 5432, "refused"),
        ("gateway", "10.80.7.7/32", 5433, "refused"),
        ("gateway", "10.80.7.6/32", 5432, "refused"),
        ("gateway", "10.80.8.8/32", 4318, "allowed"),
        ("reviews", "10.80.8.8/32", 4318, "refused"),
    ],
)
def test_only_the_gateway_and_reviews_reach_their_database_and_only_the_gateway_sends_traces(
    role: str, cidr: str, port: int, verdict: str
) -> None:
    resources = [
        *closed(),
        *deployment(role=role),
        network_policy(block(cidr), ports=[{"port": port}], **{"isthmus.dev/role": role}),
    ]
    paths = paths_of(*resources, platform=platform(database=DATABASE, traces=TRACES))
    assert {path.verdict for path in paths if cidr in path.id} == {verdict}


def test_a_trace_collector_without_a_port_in_its_url_is_reached_at_443() -> None:
    traces = {**TRACES, "endpoint": "https://traces.bank.example/v1"}
    for port, verdict in ((443, "allowed"), (80, "refused")):
        policy = network_policy(block("10.80.8.8/32"), ports=[{"port": port}])
        paths = paths_of(*closed(), *deployment(role="gateway"), policy, platform=platform(traces=traces))
        assert {path.verdict for path in paths if "/work" in path.id} == {verdict}


def test_the_database_of_another_classs_gateway_is_refused() -> None:
    base = platform(database=DATABASE, traces=TRACES)
    other = base.gateways[0].model_copy(update={"class_": "public"})
    base.gateways[:] = [other]
    for cidr, port in (("10.80.7.7/32", 5432), ("10.80.8.8/32", 4318)):
        policy = network_policy(block(cidr), ports=[{"port": port}])
        found = verdicts(*closed(), *deployment(role="gateway"), policy, platform=base)
        assert (f"{cidr} port {port}", "refused") in found


def test_a_database_outside_the_networks_of_the_class_is_refused() -> None:
    database = {**DATABASE, "address": "10.81.7.7"}
    policy = network_policy(block("10.81.7.7/32"), ports=[{"port": 5432}])
    found = verdicts(*closed(), *deployment(role="gateway"), policy, platform=platform(database=database))
    assert ("10.81.7.7/32 port 5432", "refused") in found


AGENT = "169.254.170.23/32"


@pytest.mark.parametrize(
    ("role", "class_", "port", "has_identity", "explained"),
    [
        ("translator", "internal", 80, True, True),
        ("sealer", "internal", 80, True, True),
        ("translator", "internal", 80, False, False),
        ("translator", "internal", 81, True, False),
        ("gateway", "internal", 80, True, False),
        ("translator", "restricted", 80, True, False),
    ],
)
def test_only_translators_and_sealers_with_an_identity_reach_the_pod_identity_agent(
    role: str, class_: str, port: int, has_identity: bool, explained: bool
) -> None:
    resources = [
        *closed(class_),
        *deployment(role=role),
        network_policy(block(AGENT), ports=[{"port": port}], **{"isthmus.dev/role": role}),
        *([pod_identity()] if has_identity else []),
    ]
    paths = paths_of(*resources, platform=platform(class_))
    assert any(AGENT in path.id and path.hops[0].name == "apps/work" for path in paths) != explained


@pytest.mark.parametrize(
    ("role", "port", "cidr", "listed"),
    [
        ("translator", 443, "10.80.3.0/24", False),
        ("translator", 443, "10.40.3.0/24", True),
        ("translator", 80, "10.80.3.0/24", True),
        ("model", 443, "10.80.3.0/24", True),
    ],
)
def test_private_endpoints_are_part_of_a_translators_own_path_and_of_no_others(
    role: str, port: int, cidr: str, listed: bool
) -> None:
    """The translator's path by its configuration shows the endpoint."""
    resources = [
        *closed(),
        *deployment(role=role),
        network_policy(block(cidr), ports=[{"port": port}], **{"isthmus.dev/role": role}),
    ]
    paths = paths_of(*resources, platform=platform())
    assert any(cidr in path.id and path.hops[0].name == "apps/work" for path in paths) == listed


# Identities.


@pytest.mark.parametrize(
    ("class_", "verdict"), [("public", "allowed"), ("internal", "undecided"), ("restricted", "refused")]
)
def test_an_account_with_an_aws_role_is_an_exit_before_pods_use_it(class_: str, verdict: str) -> None:
    (path,) = paths_of(*closed(class_), pod_identity("spare"))
    assert (path.verdict, path.hops[0].name) == (verdict, "apps/any pod of account spare")
    assert paths_of(*closed(class_), pod_identity("spare", in_="elsewhere")) == []


def test_an_account_that_pods_use_is_reported_once_with_these_pods() -> None:
    (path,) = paths_of(*closed(), *deployment(account="spare"), pod_identity("spare"))
    assert (path.hops[0].name, path.verdict) == ("apps/work", "undecided")
    (path,) = paths_of(*closed(), *deployment(), pod_identity("default"))
    assert (path.hops[0].name, path.verdict) == ("apps/work", "undecided")
    paths = paths_of(
        *closed(), *closed("internal", "other"), *deployment(in_="other"), pod_identity("default")
    )
    assert [path.hops[0].name for path in paths] == ["apps/any pod of account default"]


def test_a_service_account_without_a_role_is_no_exit() -> None:
    meta = {"name": "spare", "namespace": "apps"}
    account = resource_of("kubernetes:core/v1:ServiceAccount", "spare", {"metadata": meta})
    assert paths_of(*closed(), account) == []
    annotated = {**meta, "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}
    account = resource_of("kubernetes:core/v1:ServiceAccount", "spare", {"metadata": annotated})
    (path,) = paths_of(*closed(), account)
    assert [hop.name for hop in path.hops] == ["apps/any pod of account spare", "arn:aws:iam::1:role/x"]


@pytest.mark.parametrize(
    ("class_", "mode", "expected"),
    [
        ("internal", "gateway", {"undecided"}),
        ("internal", "sidecar", {"undecided"}),
        ("internal", "sealer", set()),
        ("restricted", "sealer", {"refused"}),
        ("internal", "translator", set()),
        ("public", "gateway", {"allowed"}),
    ],
)
def test_an_identity_of_pods_is_an_exit_unless_a_translator_or_sealer_has_it(
    class_: str, mode: str, expected: set[str]
) -> None:
    config = {"mode": mode, "class": class_}
    paths = paths_of(*closed(class_), *deployment(config=config), pod_identity())
    verdicts_found = {path.verdict for path in paths if path.hops[-1].kind == "identity"}
    assert verdicts_found == expected


def test_an_identity_of_pods_with_an_unknown_configuration_is_undecided() -> None:
    """Also of a sealer: only its configuration shows that it is one."""
    unread = deployment(config="${unknown}", role="sealer")
    paths = paths_of(*closed(), *unread, pod_identity())
    assert {path.verdict for path in paths if path.hops[-1].kind == "identity"} == {"undecided"}


def test_the_identity_of_a_translator_with_an_unknown_configuration_is_part_of_its_own_path() -> None:
    unread = deployment(config="${unknown}", role="translator")
    paths = paths_of(*closed(), *unread, pod_identity())
    assert [path.hops[0].name for path in paths] == ["apps"]


def test_a_role_of_the_stack_is_shown_by_the_name_of_its_identity_and_its_account() -> None:
    for tags, expected in (
        ({"isthmus.dev/identity": "internal-frankfurt"}, "internal-frankfurt"),
        ({}, "role"),
    ):
        role = resource_of("aws:iam/role:Role", "role", {"tags": tags, "region": "eu-central-1"})
        (path,) = paths_of(*closed(), role, pod_identity("spare", role="${role.arn}"))
        assert (path.hops[-1].name, path.hops[-1].where) == (expected, "eu-central-1")


# Hosts.


def by_host(
    class_: str, *resources: Resource, platform_: Platform | None = None, **box: Any
) -> dict[str, str]:
    """Host and verdict of the paths by a host that pods are configured with."""
    paths = paths_of(*closed(class_), *(deployment(**box) if box else []), *resources, platform=platform_)
    return {
        path.hops[-1].name: path.verdict
        for path in paths
        if path.class_ == class_ and path.hops[-1].kind == "network"
    }


def env(url: str) -> list[dict[str, str]]:
    return [{"name": "URL", "value": url}]


@pytest.mark.parametrize(
    ("class_", "host", "verdict"),
    [
        ("public", HOST, "allowed"),
        ("internal", HOST, "refused"),
        ("confidential", HOST, "refused"),
        ("restricted", HOST, "refused"),
        ("public", "api.openai.com", "allowed"),
        ("restricted", "api.openai.com", "refused"),
    ],
)
def test_a_cloud_host_in_the_settings_of_pods_is_judged_by_their_class(
    class_: str, host: str, verdict: str
) -> None:
    assert by_host(class_, env=env(f"https://{host}")) == {host: verdict}


def test_public_pods_are_configured_with_hosts_only_of_regions_that_their_residency_allows() -> None:
    base = platform("public", workloads=[{"name": "chat", "endpoint": "llama", "residency": ["eu"]}])
    hosts = {
        "bedrock-runtime.eu-central-1.amazonaws.com": "allowed",
        "bedrock-runtime.us-east-1.amazonaws.com": "refused",
        "api.openai.com": "allowed",
    }
    for host, verdict in hosts.items():
        assert by_host("public", platform_=base, env=env(f"https://{host}")) == {host: verdict}


@pytest.mark.parametrize(
    ("class_", "service", "expected"),
    [
        ("internal", "rolesanywhere", None),
        ("internal", "bedrock-runtime", "undecided"),
        ("internal", "runtime.sagemaker", "undecided"),
        ("internal", "s3", "refused"),
        ("public", "bedrock-runtime", "allowed"),
        ("restricted", "rolesanywhere", "refused"),
        ("restricted", "bedrock-runtime", "refused"),
    ],
)
def test_a_private_endpoint_in_the_settings_of_pods_is_judged_by_its_service(
    class_: str, service: str, expected: str | None
) -> None:
    url = private_url(service)
    found = by_host(class_, private_endpoint(), env=env(url))
    assert found == ({url.removeprefix("https://"): expected} if expected else {})


def test_the_image_of_a_container_is_no_host_that_it_calls() -> None:
    image = "1.dkr.ecr.eu-central-1.amazonaws.com/x@sha256:0"
    assert by_host("internal", image=image) == {}


def test_a_cloud_host_in_a_config_map_of_pods_is_refused() -> None:
    assert by_host("internal", config={"mode": "model", "upstream": f"https://{HOST}"}) == {HOST: "refused"}


def test_the_store_of_an_endpoints_weights_is_a_host_that_its_class_may_call() -> None:
    host = "s3.eu-central-1.amazonaws.com"
    for class_, expected in (("internal", "allowed"), ("confidential", "refused")):
        weights = {
            "digest": f"sha256:{'0' * 64}",
            "uri": "s3://weights/m",
            "store": {"endpoint": f"https://{host}", "address": "10.80.0.7", "credentials_secret": "store"},
            "cache": {"node_path": "/mnt/weights"},
        }
        base = platform()
        endpoint = {"id": "llama", "class": class_, "site": "fra1", "target": "onprem-vllm", "model": "m"}
        base.endpoints[:] = [Endpoint.model_validate({**endpoint, "weights": weights})]
        assert by_host("internal", platform_=base, env=env(f"https://{host}")) == {host: expected}


@pytest.mark.parametrize(
    ("class_", "config", "expected"),
    [
        (
            "internal",
            {"mode": "translator", "models": [{"name": "m", "endpoint_url": f"https://{HOST}"}]},
            {},
        ),
        ("internal", {"mode": "gateway", "routes": [{"workload": "w", "url": f"https://{HOST}"}]}, {}),
        ("internal", {"mode": "sealer", "store": {"endpoint": f"https://{HOST}"}}, {}),
        ("internal", {"mode": "gateway", "store": {"endpoint": f"https://{HOST}"}}, {HOST: "refused"}),
        ("restricted", {"mode": "sealer", "store": {"endpoint": f"https://{HOST}"}}, {HOST: "refused"}),
        ("internal", {"mode": "translator", "models": [{"name": "m"}], "x": HOST}, {HOST: "refused"}),
    ],
)
def test_hosts_that_other_paths_already_judge_are_not_reported_again(
    class_: str, config: dict[str, Any], expected: dict[str, str]
) -> None:
    pods = deployment(config={"class": class_, **config})
    paths = paths_of(*closed(class_), *pods, pod_identity())
    hosts = {path.hops[1].name: path.verdict for path in paths if path.hops[0].name == "apps/work"}
    assert {name: verdict for name, verdict in hosts.items() if name == HOST} == expected


def test_a_host_is_not_excused_by_a_longer_name_that_another_path_judges() -> None:
    config = {
        "mode": "translator",
        "class": "internal",
        "models": [{"name": "m", "endpoint_url": f"https://my.{HOST}"}],
    }
    found = by_host("internal", config=config, env=env(f"https://{HOST}"))
    assert found.get(HOST) == "refused"


def test_the_store_of_a_sealer_without_an_identity_is_a_host_that_is_refused() -> None:
    config = {"mode": "sealer", "class": "internal", "store": {"endpoint": f"https://{HOST}"}}
    assert by_host("internal", config=config) == {HOST: "refused"}


HELPER = ["aws_signing_helper", "serve", "--region", "eu-west-1"]


@pytest.mark.parametrize(
    ("class_", "named", "beside", "verdict"),
    [
        ("internal", HOST, {"env": env(f"https://{HOST}")}, "allowed"),
        ("internal", HOST, {}, "refused"),
        ("restricted", HOST, {"env": env(f"https://{HOST}")}, "refused"),
        (
            "internal",
            HOST,
            {"config": {"mode": "translator", "models": [{"region": "eu-central-1"}]}},
            "allowed",
        ),
        (
            "internal",
            "runtime.sagemaker.eu-central-1.amazonaws.com",
            {
                "config": {
                    "mode": "translator",
                    "models": [{"region": "eu-central-1", "provider": "sagemaker"}],
                }
            },
            "allowed",
        ),
        (
            "internal",
            HOST,
            {
                "config": {
                    "mode": "translator",
                    "models": [{"region": "eu-central-1", "provider": "sagemaker"}],
                }
            },
            "refused",
        ),
        ("internal", "rolesanywhere.eu-west-1.amazonaws.com", {"command": HELPER}, "allowed"),
        ("internal", "rolesanywhere.eu-west-2.amazonaws.com", {"command": HELPER}, "refused"),
        ("internal", "rolesanywhere.eu-west-1.amazonaws.com", {"command": HELPER[:2]}, "refused"),
    ],
)
def test_a_resolver_answers_only_for_hosts_that_other_pods_of_its_namespace_call(
    class_: str, named: str, beside: dict[str, Any], verdict: str
) -> None:
    resolver = deployment("dns", role="resolver", env=env(f"https://{named}"))
    paths = paths_of(*closed(class_), *resolver, *deployment("caller", **beside))
    found = {
        path.verdict for path in paths if path.hops[0].name == "apps/dns" and path.hops[-1].name == named
    }
    assert found == (set() if verdict == "allowed" else {verdict})


def test_a_resolver_does_not_answer_for_hosts_that_only_another_namespace_calls() -> None:
    resolver = deployment("dns", role="resolver", env=env(f"https://{HOST}"))
    caller = deployment("caller", "other", env=env(f"https://{HOST}"))
    paths = paths_of(*closed(), *closed("public", "other"), *resolver, *caller)
    assert {path.verdict for path in paths if path.hops[0].name == "apps/dns"} == {"refused"}


# Security groups of tasks.


def fargate(class_: str, *rules: dict[str, Any]) -> list[Resource]:
    task = resource_of(
        "aws:ecs/taskDefinition:TaskDefinition",
        "task",
        {"tags": {"isthmus.dev/class": class_}, "containerDefinitions": "[]"},
    )
    group = resource_of("aws:ec2/securityGroup:SecurityGroup", "group", {})
    service = resource_of(
        "aws:ecs/service:Service",
        "service",
        {
            "taskDefinition": "${task.arn}",
            "networkConfiguration": {"securityGroups": ["${group.id}"]},
        },
    )
    kind = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    return [
        *(task, group, service),
        *(
            resource_of(kind, f"rule-{index}", {"securityGroupId": "${group.id}", **rule})
            for index, rule in enumerate(rules)
        ),
    ]


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"cidrIpv4": "10.80.0.0/16", "fromPort": 443, "toPort": 443}, "allowed"),
        ({"cidrIpv4": "10.80.0.0/16", "fromPort": 443, "toPort": 444}, "refused"),
        ({"cidrIpv4": "10.80.0.0/16"}, "refused"),
        ({"cidrIpv4": "0.0.0.0/0", "fromPort": 443, "toPort": 443}, "refused"),
        ({"cidrIpv6": "::/0", "fromPort": 443, "toPort": 443}, "refused"),
    ],
)
def test_tasks_reach_by_their_security_groups_only_port_443_of_the_classs_network(
    rule: dict[str, Any], verdict: str
) -> None:
    (path,) = paths_of(*fargate("internal", rule), platform=platform())
    assert (path.verdict, path.hops[0].name) == (verdict, "task")


def test_a_service_of_another_task_definition_is_no_exit_of_a_task() -> None:
    other = resource_of(
        "aws:ecs/taskDefinition:TaskDefinition",
        "other",
        {"tags": {"isthmus.dev/class": "internal"}, "containerDefinitions": "[]"},
    )
    paths = paths_of(*fargate("internal", {"cidrIpv4": "0.0.0.0/0"}), other)
    assert [path.hops[0].name for path in paths] == ["task"]


def test_exits_start_at_the_cluster_of_their_namespace() -> None:
    site = namespace()
    provider = "urn:pulumi:s::p::pulumi:providers:kubernetes::fra1"
    resources = [
        site.__class__(**{**site.__dict__, "provider": provider}),
        *closed()[1:],
        *deployment(),
        network_policy(block("8.8.8.0/24")),
    ]
    paths = paths_of(*resources, platform=platform())
    assert {path.hops[0].where for path in paths} == {"fra1"}
