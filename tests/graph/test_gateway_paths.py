"""Paths from a gateway over its routes to model servers, translators and hosts, on small stacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.preview import DataPath
from isthmus.engine.render.recorder import Resource
from tests.graph.small_stacks import (
    closed,
    deployment,
    paths_of,
    platform,
    pod_identity,
    private_endpoint,
    private_url,
    service,
    vpc,
)
from tests.policies.making import resource_of

MODEL = "amazon.nova-lite-v1:0"
DOOR = [private_endpoint(), vpc()]


def route(url: str, workload: str = "chat", model: str = "m", **more: Any) -> dict[str, Any]:
    return {"workload": workload, "url": url, "model": model, **more}


def gateway(*routes: Any, class_: str = "internal", **config: Any) -> list[Resource]:
    config = {"mode": "gateway", "class": class_, "routes": list(routes), **config}
    return deployment("gateway", config=config)


def model_server(name: str = "llama", in_: str = "apps", **config: Any) -> list[Resource]:
    """A model server with a sidecar that hands requests on inside its pod, and its Service."""
    config = {"mode": "sidecar", "upstream": "http://127.0.0.1:8000", **config}
    return [*deployment(name, in_, config=config), service(name, in_)]


def translator(*models: Any, name: str = "translator", **config: Any) -> list[Resource]:
    config = {"mode": "translator", "class": "internal", "models": list(models), **config}
    return [*deployment(name, config=config), service(name)]


def entry(name: str = "m", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "region": "eu-central-1",
        "model_id": MODEL,
        "endpoint_url": private_url(),
        **fields,
    }


def shown(*resources: Resource, class_: str = "internal", on: Platform | None = None) -> set[tuple[str, str]]:
    """Last hop and verdict of each path, where the stack has one namespace of the class."""
    paths = paths_of(*closed(class_), *resources, platform=on)
    return {(path.hops[-1].name, path.verdict) for path in paths}


def only_path(*resources: Resource, class_: str = "internal", on: Platform | None = None) -> DataPath:
    (path,) = paths_of(*closed(class_), *resources, platform=on)
    return path


LLAMA = "https://llama.apps.svc:8443"
TRANSLATOR = "https://translator.apps.svc:8443"


# Gateways and their configuration.


@pytest.mark.parametrize(
    ("class_", "config", "verdict"),
    [
        ("internal", None, "undecided"),
        ("internal", "${unknown}", "undecided"),
        ("internal", "[", "undecided"),
        ("public", None, "allowed"),
    ],
)
def test_a_gateway_whose_routes_cannot_be_read_is_undecided_above_public(
    class_: str, config: str | None, verdict: str
) -> None:
    path = only_path(*deployment("gateway", role="gateway", config=config), class_=class_)
    assert (path.hops[-1].name, path.verdict) == ("gateway", verdict)


def test_a_gateway_without_routes_has_no_path() -> None:
    assert shown(*gateway()) == set()


def test_a_route_that_cannot_be_read_is_undecided_beside_the_others() -> None:
    assert shown(*gateway("x", route(LLAMA)), *model_server()) == {
        ("gateway", "undecided"),
        ("llama", "allowed"),
    }


def test_alternatives_of_a_route_that_are_no_destinations_are_skipped() -> None:
    routes = route(LLAMA, also="x", canary="y", overflow=["z"])
    assert shown(*gateway(routes), *model_server()) == {("llama", "allowed")}


def test_every_alternative_of_a_route_is_a_path_of_its_workload() -> None:
    alternative = {"url": "https://missing.apps.svc:8443"}
    for alternatives in (
        {"canary": alternative},
        {"overflow": alternative},
        {"also": [alternative]},
        {"also": ["x", alternative]},
    ):
        assert shown(*gateway({**route(LLAMA), **alternatives}), *model_server()) == {
            ("llama", "allowed"),
            ("missing", "undecided"),
        }


def test_a_route_without_a_workload_is_a_path_of_no_workload() -> None:
    path = only_path(*gateway({"url": LLAMA}), *model_server(), on=None)
    assert (path.workload, path.hops[0].name, path.verdict) == ("", "-", "allowed")


def test_a_workload_that_the_platform_does_not_name_is_undecided() -> None:
    base = platform()
    for workload, verdict in (("chat", "allowed"), ("other", "undecided")):
        path = only_path(*gateway(route(LLAMA, workload)), *model_server(), on=base)
        assert path.verdict == verdict


def test_a_gateway_with_the_configuration_of_another_class_is_refused() -> None:
    for class_, verdict in (("public", "refused"), ("internal", "allowed")):
        path = only_path(*gateway(route(LLAMA), class_=class_), *model_server())
        assert path.verdict == verdict


# Where a route leads.


@pytest.mark.parametrize("url", ["", "https://", "https://${other.dnsName}:443"])
def test_a_route_to_an_unknown_address_is_undecided_above_public(url: str) -> None:
    for class_, verdict in (("internal", "undecided"), ("public", "allowed")):
        path = only_path(*gateway(route(url), class_=class_), class_=class_)
        assert path.verdict == verdict
        assert path.hops[-1].name


@pytest.mark.parametrize(
    ("class_", "host", "verdict"),
    [
        ("public", "models.bank.example", "allowed"),
        ("internal", "models.bank.example", "undecided"),
        ("internal", "api.openai.com", "refused"),
        ("internal", "openai.com", "refused"),
        ("internal", "notopenai.com", "undecided"),
        ("internal", "openai.com.bank.example", "undecided"),
        ("public", "api.openai.com", "refused"),
        ("restricted", "api.openai.com", "refused"),
    ],
)
def test_a_route_to_a_host_outside_the_cluster_is_judged_by_its_name(
    class_: str, host: str, verdict: str
) -> None:
    paths = paths_of(*closed(class_), *gateway(route(f"https://{host}:443/v1"), class_=class_))
    by_route = [path for path in paths if path.workload == "chat"]
    assert [(path.hops[-1].name, path.verdict) for path in by_route] == [(host, verdict)]


@pytest.mark.parametrize(
    "host",
    ["API.OpenAI.com", "user@openai.com", "user:password@openai.com", "openai.com.", "api.openai.com."],
)
def test_a_cloud_host_is_recognised_however_the_address_is_written(host: str) -> None:
    for class_ in ("public", "internal"):
        paths = paths_of(*closed(class_), *gateway(route(f"https://{host}/v1"), class_=class_))
        assert [path.verdict for path in paths if path.workload == "chat"] == ["refused"]


def test_a_service_that_stands_for_an_external_host_is_that_host() -> None:
    external = resource_of(
        "kubernetes:core/v1:Service",
        "external",
        {"metadata": {"name": "llama", "namespace": "apps"}, "spec": {"externalName": "models.bank.example"}},
    )
    path = only_path(*gateway(route(LLAMA)), external)
    assert (path.hops[-1].name, path.verdict) == ("models.bank.example", "undecided")


def test_a_service_that_stands_for_a_cloud_host_is_refused_however_the_name_is_written() -> None:
    for name in ("api.openai.com", "API.OpenAI.com", "api.openai.com."):
        external = resource_of(
            "kubernetes:core/v1:Service",
            "external",
            {"metadata": {"name": "llama", "namespace": "apps"}, "spec": {"externalName": name}},
        )
        assert only_path(*gateway(route(LLAMA), class_="internal"), external).verdict == "refused"


def test_a_service_that_is_missing_or_selects_no_pods_is_undecided_above_public() -> None:
    for class_, verdict in (("internal", "undecided"), ("public", "allowed")):
        routes = gateway(route(LLAMA), class_=class_)
        for behind in ([], [service("llama")]):
            path = only_path(*routes, *behind, class_=class_)
            assert (path.hops[-1].name, path.verdict) == ("llama", verdict)


def test_a_service_in_a_namespace_of_another_class_is_refused_and_of_no_known_class_undecided() -> None:
    url = "https://llama.other.svc:8443"
    for class_, verdict in (("public", "refused"), (None, "undecided"), ("internal", "allowed")):
        resources = [
            *closed(),
            *closed(class_, "other"),
            *gateway(route(url)),
            *model_server("llama", "other"),
        ]
        paths = [path for path in paths_of(*resources) if path.workload == "chat"]
        assert [path.verdict for path in paths] == [verdict]


def router(*backends: str, workload: str = "chat") -> list[Resource]:
    header = {"name": "x-isthmus-workload", "value": workload}
    rule = {"matches": [{"headers": [header]}], "backendRefs": [{"name": name} for name in backends]}
    inputs = {"metadata": {"name": "r", "namespace": "apps"}, "spec": {"rules": [rule]}}
    return [resource_of("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "route", inputs)]


def test_a_router_in_front_of_model_servers_leads_to_its_backends() -> None:
    resources = [*gateway(route("https://router.apps.svc:8443")), *model_server()]
    assert shown(*resources, *router("llama")) == {("llama", "allowed")}
    assert shown(*resources, *router("llama", workload="other")) == {("router", "undecided")}
    assert shown(*resources, *router("llama", "missing")) == {("llama", "allowed"), ("missing", "undecided")}


def test_a_service_of_the_stack_is_not_passed_over_for_a_router() -> None:
    resources = [*gateway(route(LLAMA)), *model_server(), *model_server("other"), *router("other")]
    assert shown(*resources) == {("llama", "allowed")}


# Model servers.


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({}, "allowed"),
        ({"upstream": "http://localhost:8000"}, "allowed"),
        ({"upstream": "http://[::1]:8000"}, "allowed"),
        ({"upstream": "http://10.40.0.1:8000"}, "refused"),
        ({"upstream": "http://127.0.0.1.evil.example"}, "refused"),
        ({"upstream": None}, "refused"),
        ({"class": "public"}, "refused"),
        ({"allowed_clients": ["gateway.apps.svc"]}, "allowed"),
        ({"allowed_clients": ["gateway.apps.svc.cluster.local"]}, "allowed"),
        ({"allowed_clients": ["gateway.isthmus-public.svc"]}, "undecided"),
        ({"allowed_clients": ["gateway.apps.svc", "*"]}, "undecided"),
    ],
)
def test_a_model_server_hands_requests_on_in_its_pod_and_answers_its_own_class(
    config: dict[str, Any], verdict: str
) -> None:
    path = only_path(*gateway(route(LLAMA)), *model_server(**config))
    assert (path.hops[-1].name, path.verdict) == ("llama", verdict)


def test_a_model_server_that_accepts_a_client_of_another_class_is_refused() -> None:
    clients = ["gateway.other.svc"]
    for class_, verdict in (("public", "refused"), ("internal", "allowed"), (None, "undecided")):
        resources = [*closed(), *closed(class_, "other"), *gateway(route(LLAMA))]
        paths = paths_of(*resources, *model_server(allowed_clients=clients))
        assert [path.verdict for path in paths if path.workload] == [verdict]


def test_pods_that_are_no_known_model_server_are_undecided() -> None:
    for role, verdict in (("model", "allowed"), ("", "undecided"), ("gateway", "undecided")):
        server = [*deployment("llama", role=role), service("llama")]
        paths = paths_of(*closed(), *gateway(route(LLAMA)), *server)
        assert [path.verdict for path in paths if path.workload] == [verdict]


def test_a_path_to_a_model_server_ends_at_its_site_if_that_is_known() -> None:
    provider = "urn:pulumi:s::p::pulumi:providers:kubernetes::fra1"
    resources = [*closed(), *gateway(route(LLAMA)), *model_server()]
    (path,) = paths_of(*resources, platform=platform())
    assert [hop.name for hop in path.hops] == ["chat", "gateway", "llama"]
    at_site = [resource.__class__(**{**resource.__dict__, "provider": provider}) for resource in resources]
    (path,) = paths_of(*at_site, platform=platform())
    assert [hop.name for hop in path.hops] == ["chat", "gateway", "llama", "fra1"]


# Translators.


def test_a_translators_path_shows_its_identity_endpoint_model_and_region() -> None:
    identity = pod_identity()
    (path,) = [
        path
        for path in paths_of(*closed(), *gateway(route(TRANSLATOR)), *translator(entry()), *DOOR, identity)
        if path.workload == "chat"
    ]
    names = ["chat", "gateway", "translator", "arn:aws:iam::1:role/x", "door", "m", "eu-central-1"]
    assert [hop.name for hop in path.hops] == names
    assert path.verdict == "allowed"


def with_translator(*models: Any, on: Platform | None = None, **config: Any) -> list[tuple[str, str]]:
    """Last hop and verdict of the paths of the workload."""
    paths = paths_of(
        *closed(), *gateway(route(TRANSLATOR)), *translator(*models, **config), *DOOR, platform=on
    )
    return [(path.hops[-1].name, path.verdict) for path in paths if path.workload == "chat"]


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({}, "allowed"),
        ({"class": "public"}, "refused"),
        ({"outbound": {"proxy": "http://10.40.0.9:3128"}}, "refused"),
        ({"outbound": {"proxy": None}}, "allowed"),
        ({"outbound": "x"}, "allowed"),
        ({"allowed_clients": ["gateway.apps.svc"]}, "allowed"),
        ({"allowed_clients": ["gateway.elsewhere.svc"]}, "undecided"),
    ],
)
def test_a_translator_calls_directly_and_answers_its_own_class(config: dict[str, Any], verdict: str) -> None:
    assert with_translator(entry(), **config) == [("eu-central-1", verdict)]


def test_a_proxy_is_allowed_for_public_work_only() -> None:
    config = {"class": "public", "outbound": {"proxy": "http://10.40.0.9:3128"}}
    resources = [*gateway(route(TRANSLATOR), class_="public"), *translator(entry(), **config), *DOOR]
    assert shown(*resources, class_="public") == {("eu-central-1", "allowed")}


def test_a_model_that_the_translator_does_not_know_is_undecided() -> None:
    assert with_translator(entry("other")) == [("translator", "undecided")]
    assert with_translator() == [("translator", "undecided")]
    assert with_translator("x") == [("translator", "undecided")]


def test_a_model_of_no_route_is_a_path_of_no_workload_and_a_routed_one_is_not_repeated() -> None:
    resources = [*gateway(route(TRANSLATOR)), *translator(entry(), entry("spare", region="us-east-1")), *DOOR]
    paths = paths_of(*closed(), *resources)
    assert {(path.workload, path.hops[-2].name) for path in paths} == {("chat", "m"), ("", "spare")}


def test_an_entry_of_a_translator_that_cannot_be_read_is_undecided_beside_the_others() -> None:
    resources = [*gateway(route(TRANSLATOR)), *translator("x", entry()), *DOOR]
    assert shown(*resources) == {("translator", "undecided"), ("eu-central-1", "allowed")}


def test_an_entry_that_cannot_be_read_is_a_path_of_no_workload() -> None:
    for routes in ([], [route(TRANSLATOR)]):
        paths = paths_of(*closed(), *gateway(*routes), *translator("x", entry()), *DOOR)
        unread = [(path.workload, path.verdict) for path in paths if path.hops[-1].name == "translator"]
        assert unread == [("", "undecided")]


def test_a_translator_without_a_gateway_is_judged_by_its_models() -> None:
    path = only_path(*translator(entry()), *DOOR)
    assert (path.hops[0].name, path.hops[-1].name, path.verdict) == ("apps", "eu-central-1", "allowed")
    assert shown(*translator(entry(endpoint_url="")), *DOOR) == {("eu-central-1", "refused")}


def test_a_call_without_an_endpoint_of_the_stack_is_shown_by_its_host() -> None:
    for url, expected in (("https://proxy.example:443/x", "proxy.example"), ("", "the public names of AWS")):
        path = only_path(*gateway(route(TRANSLATOR)), *translator(entry(endpoint_url=url)))
        assert [hop.name for hop in path.hops if hop.kind == "network"] == [expected]
        assert path.verdict == "refused"


@pytest.mark.parametrize(
    ("class_", "gateway_vpc", "verdict"),
    [("internal", "vpc", "refused"), ("internal", "other", "allowed"), ("public", "vpc", "allowed")],
)
def test_an_endpoint_beside_an_internet_gateway_carries_public_work_only(
    class_: str, gateway_vpc: str, verdict: str
) -> None:
    internet = resource_of(
        "aws:ec2/internetGateway:InternetGateway", "internet", {"vpcId": f"${{{gateway_vpc}.id}}"}
    )
    resources = [*translator(entry(), **{"class": class_}), *DOOR, vpc("10.99.0.0/16", "other"), internet]
    assert shown(*resources, class_=class_) == {("eu-central-1", verdict)}


def test_a_model_whose_region_is_unknown_ends_the_path_at_the_model() -> None:
    path = only_path(*translator(entry(model_id="${other.arn}", endpoint_url="")))
    assert path.hops[-1].name == "m"


# Translators whose configuration is still unknown.


def unknown_translator(class_: str, copies: str = "", name: str = "profile") -> list[Resource]:
    """A translator whose configuration is built from an inference profile of the stack."""
    unknown = f"${{{name}.unknown}}"
    pods = [*deployment("translator", role="translator", config=unknown), service("translator")]
    if not copies:
        return pods
    inputs = {"modelSource": {"copyFrom": f"arn:aws:bedrock:eu-central-1:1:inference-profile/{copies}"}}
    return [*pods, resource_of("aws:bedrock/inferenceProfile:InferenceProfile", name, inputs)]


@pytest.mark.parametrize(
    ("class_", "copies", "verdict"),
    [
        ("internal", "", "undecided"),
        ("public", "", "allowed"),
        ("internal", f"eu.{MODEL}", "undecided"),
        ("internal", f"global.{MODEL}", "refused"),
        ("public", f"global.{MODEL}", "allowed"),
    ],
)
def test_an_unknown_configuration_is_undecided_but_refused_if_its_profile_may_serve_anywhere(
    class_: str, copies: str, verdict: str
) -> None:
    path = only_path(*unknown_translator(class_, copies), class_=class_)
    assert path.verdict == verdict
    assert ("profile" in [hop.name for hop in path.hops]) == bool(copies)
    assert "network" not in [hop.kind for hop in path.hops]


def test_an_unknown_configuration_behind_a_route_is_a_path_of_the_workload_alone() -> None:
    paths = paths_of(*closed(), *gateway(route(TRANSLATOR)), *unknown_translator("internal"))
    assert [(path.workload, path.verdict) for path in paths] == [("chat", "undecided")]


def test_an_unknown_configuration_behind_two_routes_is_a_path_of_each() -> None:
    routes = (route(TRANSLATOR), route(TRANSLATOR, "other"))
    paths = paths_of(*closed(), *gateway(*routes), *unknown_translator("internal"))
    assert sorted(path.workload for path in paths) == ["chat", "other"]


# Fargate.


def task(name: str, config: dict[str, Any]) -> Resource:
    box = {"name": "x", "environment": [{"name": "EDGE_CONFIG", "value": json.dumps(config)}]}
    inputs = {"tags": {"isthmus.dev/class": "internal"}, "containerDefinitions": json.dumps([box])}
    return resource_of("aws:ecs/taskDefinition:TaskDefinition", name, inputs)


def balanced(port: int = 8443) -> list[Resource]:
    """A translator task behind a load balancer."""
    config = {
        "mode": "translator",
        "class": "internal",
        "models": [entry()],
        "allowed_clients": ["gateway.bank.internal"],
    }
    return [
        task("translator", config),
        resource_of("aws:lb/loadBalancer:LoadBalancer", "balancer", {}),
        resource_of("aws:lb/targetGroup:TargetGroup", "group", {}),
        resource_of(
            "aws:lb/listener:Listener",
            "listener",
            {
                "loadBalancerArn": "${balancer.arn}",
                "port": port,
                "defaultActions": [{"targetGroupArn": "${group.arn}"}],
            },
        ),
        resource_of(
            "aws:ecs/service:Service",
            "service",
            {
                "taskDefinition": "${translator.arn}",
                "loadBalancers": [{"targetGroupArn": "${group.arn}"}],
            },
        ),
    ]


def test_a_gateway_task_reaches_its_translator_by_the_port_of_a_load_balancer() -> None:
    front = task(
        "front",
        {
            "mode": "gateway",
            "class": "internal",
            "routes": [route("https://${balancer.dnsName}:8443")],
        },
    )
    paths = paths_of(front, *balanced(), *DOOR)
    assert [(path.workload, path.hops[-1].name, path.verdict) for path in paths] == [
        ("chat", "eu-central-1", "allowed")
    ]
    paths = paths_of(front, *balanced(9443), *DOOR)
    assert {(path.workload, path.hops[-1].name, path.verdict) for path in paths} == {
        ("chat", "balancer", "undecided"),
        ("", "eu-central-1", "allowed"),
    }


@pytest.mark.parametrize(
    ("role", "mode", "expected"),
    [
        ("", "gateway", set()),
        ("arn:aws:iam::1:role/x", "gateway", {"undecided"}),
        ("${mounts.arn}", "gateway", set()),
        ("${mounts.arn}", "sidecar", {"undecided"}),
        ("${calls.arn}", "gateway", {"undecided"}),
    ],
)
def test_a_gateway_task_has_a_role_only_to_mount_its_records(
    role: str, mode: str, expected: set[str]
) -> None:
    front = task("front", {"mode": mode, "class": "internal"})
    front.inputs["taskRoleArn"] = role
    roles = []
    for name, action in (
        ("mounts", "elasticfilesystem:ClientMount"),
        ("calls", "bedrock:InvokeModel"),
    ):
        roles.append(resource_of("aws:iam/role:Role", name, {}))
        document = {"Statement": [{"Effect": "Allow", "Action": [action], "Resource": "*"}]}
        policy = {"role": f"${{{name}.name}}", "policy": document}
        roles.append(resource_of("aws:iam/rolePolicy:RolePolicy", f"{name}-policy", policy))
    paths = paths_of(front, *roles)
    assert {path.verdict for path in paths if path.hops[-1].kind == "identity"} == expected


# One path by two ways.


def test_a_path_that_is_found_twice_has_the_worse_verdict() -> None:
    """Two gateways of one name, in two namespaces of the class; one was configured for another class."""
    for first, second in (("internal", "public"), ("public", "internal")):
        resources: list[Resource] = []
        for name, class_ in (("apps", first), ("other", second)):
            url = f"https://llama.{name}.svc:8443"
            config = {"mode": "gateway", "class": class_, "routes": [route(url)]}
            resources += [
                *closed("internal", name),
                *deployment("gateway", name, config=config),
                *model_server("llama", name),
            ]
        (path,) = paths_of(*resources)
        assert path.verdict == "refused"
