"""A Prometheus that the platform names reads the metrics of a gateway on Fargate: the rules find every other way in."""

from __future__ import annotations

import functools

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.graph.resources.resources import Graph
from isthmus.graph.workloads import fargate_tasks
from isthmus.reports.stack import network_diagram
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change, finds
from tests.components.fargate import cloud
from tests.policies import holding
from tests.recording import record

pytestmark = pytest.mark.whole

CLIENT, SCRAPER = "10.20.0.0/16", "10.70.4.0/24"
RULE = ":SecurityGroupIngressRule"
ANOTHER_PORT = ", which is for another port than its metrics"


@functools.cache
def platform() -> Platform:
    data = cloud()
    data["gateways"][0]["fargate"]["scrapers"] = [SCRAPER]
    return CheckedPlatform.model_validate(data)


@functools.cache
def rendered() -> rendering.Rendered:
    return record(platform())


def altered(kind: str, name: str, how: Change) -> Graph:
    return broken_resources.altered(rendered().resources, kind, name, how)


def faults(graph: Graph, stated: Platform | None) -> list[tuple[str, str]]:
    """Verdict and message of each fault of the gateway's network."""
    return [
        (fault.verdict, fault.text) for fault in fargate_tasks.gateways_keep_to_their_network(graph, stated)
    ]


def test_a_rendered_gateway_with_scrapers_has_no_findings():
    assert holding.all_of(Graph(rendered().resources), platform()) == []


BROKEN: dict[str, tuple[str, Change, str]] = {
    "a wider network than the stated one": (
        "edge-in-metrics-10-70-4-0-24",
        lambda inputs: inputs.update(cidrIpv4="10.70.0.0/16"),
        "edge-service lets 10.70.0.0/16 in",
    ),
    "a client at the metrics": (
        "sealer-in-metrics-10-70-4-0-24",
        lambda inputs: inputs.update(cidrIpv4=CLIENT),
        f"sealer-service lets {CLIENT} in",
    ),
    "an IPv6 network at the metrics": (
        "edge-in-metrics-10-70-4-0-24",
        lambda inputs: (inputs.pop("cidrIpv4"), inputs.update(cidrIpv6="fd00::/8")),
        "edge-service lets fd00::/8 in",
    ),
    "a serving port": (
        "translator-in-metrics-10-70-4-0-24",
        lambda inputs: inputs.update(fromPort=8444, toPort=8444),
        f"translator-service lets {SCRAPER} in",
    ),
    "the health port of another task": (
        "translator-in-metrics-10-70-4-0-24",
        lambda inputs: inputs.update(fromPort=9090, toPort=9090),
        ANOTHER_PORT,
    ),
    "a range of ports": (
        "edge-in-metrics-10-70-4-0-24",
        lambda inputs: inputs.update(fromPort=8443),
        ANOTHER_PORT,
    ),
    "every port of every protocol": (
        "edge-in-metrics-10-70-4-0-24",
        lambda inputs: (inputs.pop("fromPort"), inputs.pop("toPort"), inputs.update(ipProtocol="-1")),
        ANOTHER_PORT,
    ),
    "the load balancer": (
        "door-in-10-20-0-0-16",
        lambda inputs: inputs.update(cidrIpv4=SCRAPER),
        f"-door lets {SCRAPER} in",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_other_way_of_a_scraper_is_found(name: str):
    of, how, says = BROKEN[name]
    finds(holding.all_of(altered(RULE, of, how), platform()), says)


def test_scrapers_of_another_class_are_found():
    data = platform().model_dump(mode="json", by_alias=True, exclude_none=True)
    data["gateways"][0]["class"] = "public"
    reported = faults(Graph(rendered().resources), Platform.model_validate(data))
    assert [verdict for verdict, text in reported if f"lets {SCRAPER} in" in text] == ["violated"] * 3


def test_without_a_platform_scrapers_are_undecided_at_the_metrics_and_violations_elsewhere():
    reported = faults(Graph(rendered().resources), None)
    assert [verdict for verdict, text in reported if f"lets {SCRAPER} in" in text] == ["undecided"] * 3
    serving = altered(RULE, "edge-in-metrics-10-70-4-0-24", lambda inputs: inputs.update(fromPort=8443))
    reported = faults(serving, None)
    assert [verdict for verdict, text in reported if "edge-in-metrics" in text] == ["violated"]


def test_a_scraper_is_undecided_while_the_tasks_configuration_is_not_known():
    unknown = altered(
        ":TaskDefinition",
        "gateway-edge-task",
        lambda inputs: inputs.update(containerDefinitions="${unknown}"),
    )
    ((verdict, text),) = faults(unknown, platform())
    assert verdict == "undecided"
    assert text.endswith("and the port of its metrics is not known yet")


def test_the_network_diagram_shows_the_scrapers():
    drawn = network_diagram.draw_network(Graph(rendered().resources), platform())
    for task, port in (("edge", 9090), ("translator", 9091), ("sealer", 9090)):
        assert f'10_70_4_0_24 -->|"{port}"| insurer_frankfurt_internal_gateway_{task}_service' in drawn
