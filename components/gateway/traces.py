"""Traces of a gateway: the collector, its CA mount and the egress to it."""

from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

from components.gateway.translator.translator import address_egress

_FOLDER = "/etc/isthmus/traces"


class GatewayTraces(TypedDict):
    """A collector that accepts OTLP over HTTP. It gets times and names of requests, never their content."""

    endpoint: str
    """Its https URL with the path, e.g. https://collector.bank.example:4318/v1/traces."""
    address: str
    """Its IP address."""
    ca: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: the CA of its certificate. Absent: the public CAs."""
    share: NotRequired[float]
    """Share of requests to trace if the caller's `traceparent` does not decide it (default 1)."""


def traces_section(traces: GatewayTraces | None) -> dict[str, Any]:
    """The section `traces` of the edge's configuration; empty without traces."""
    if traces is None:
        return {}
    section: dict[str, Any] = {"endpoint": traces["endpoint"], "share": traces.get("share", 1.0)}
    if "ca" in traces:
        section["ca"] = f"{_FOLDER}/ca.crt"
    return {"traces": section}


def mounts_and_volumes(traces: GatewayTraces | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volumes of the collector's CA."""
    if traces is None or "ca" not in traces:
        return [], []
    volume = {"name": "traces-ca", "configMap": {"name": traces["ca"], "defaultMode": 0o440}}
    return [{"name": "traces-ca", "mountPath": _FOLDER, "readOnly": True}], [volume]


def collector_egress(
    traces: GatewayTraces | None, sensitivity: str, site_cidrs: list[str], service: str
) -> list[dict[str, Any]]:
    """Egress to the collector's address. For a restricted gateway it must be inside the site's networks."""
    if traces is None:
        return []
    port = urlsplit(traces["endpoint"]).port or 443
    return address_egress(
        "traces", traces["address"], port, sensitivity, site_cidrs, service, "traces.address"
    )


def host_of(traces: GatewayTraces) -> str:
    """Host name of the collector."""
    return urlsplit(traces["endpoint"]).hostname or ""
