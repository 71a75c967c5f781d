"""A gateway's traces: the collector that takes them, what is mounted to believe it, and the one way there."""

from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

from components.base.argument_checks import within
from components.gateway.translator.translator import ways_out

_FOLDER = "/etc/isthmus/traces"


class GatewayTraces(TypedDict):
    """A collector that takes OTLP over HTTP: times and names of requests, never what was said."""

    endpoint: str
    """Its https address with the path, e.g. https://collector.bank.example:4318/v1/traces."""
    address: str
    """By which it is reached."""
    ca: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: who signs it; absent: the public authorities."""
    share: NotRequired[float]
    """Of the requests about which no caller has decided (default 1)."""


def traced(traces: GatewayTraces | None) -> dict[str, Any]:
    """Of the edge's configuration."""
    if traces is None:
        return {}
    made: dict[str, Any] = {"endpoint": traces["endpoint"], "share": traces.get("share", 1.0)}
    if "ca" in traces:
        made["ca"] = f"{_FOLDER}/ca.crt"
    return {"traces": made}


def mounted(traces: GatewayTraces | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volumes."""
    if traces is None or "ca" not in traces:
        return [], []
    volume = {"name": "traces-ca", "configMap": {"name": traces["ca"], "defaultMode": 0o440}}
    return [{"name": "traces-ca", "mountPath": _FOLDER, "readOnly": True}], [volume]


def way_to_collector(
    traces: GatewayTraces | None, held: str, site_cidrs: list[str], service: str
) -> list[dict[str, Any]]:
    """Egress to the collector, by its address alone; of a restricted gateway within the site's networks."""
    if traces is None:
        return []
    cidr = f"{traces['address']}/32"
    if held == "restricted":
        within(cidr, site_cidrs, f"{service}.traces.address")
    port = urlsplit(traces["endpoint"]).port or 443
    return ways_out([{"name": "traces", "cidr": cidr, "port": port}], service)


def host_of(traces: GatewayTraces) -> str:
    """The collector's name."""
    return urlsplit(traces["endpoint"]).hostname or ""
