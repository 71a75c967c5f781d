"""Who reaches whom by the rendered network policies: as the platform says it must be, and as an analyser finds it.

The analyser is NP-Guard's network-config-analyzer, which knows Kubernetes and nothing of Isthmus. What the class
allows is taken from the platform (gateways, endpoints, sites), never from a policy. Around the platform stand pods
that are not ours: an application of each class, one of no class, monitoring, the cluster's DNS and its neighbour.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.contracts.vocabulary import VLLM_TARGETS
from tests.graders import tools
from tests.graders.manifests import Body, as_pods, pod

SERVING, HEALTH, DNS, RENDEZVOUS, GROUP = "8443", "9090", "53", "29501", "40000-40999"
OWN_DNS, OWN_DNS_METRICS = "1053", "9153"
"""Of a class's own resolver."""
WITH_DETECTOR = "9090-9091"
"""A gateway's health, and its detector's beside it."""
CLASSES = ("public", "internal", "confidential", "restricted")
MONITORING, RESOLVER = "monitoring/prometheus", "kube-system/dns"
OURS = "isthmus-"
"""What the platform's namespaces begin with."""
LINE = re.compile(r"(?P<from>\S+) => (?P<to>\S+) : (?P<how>.+)")
AGENT = "169.254.170.23"
"""Where a node's EKS Pod Identity Agent hands out credentials, on port 80: link-local, on the pod's own machine."""
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")


class Way(NamedTuple):
    """One may open connections to the other. An address range is written as the analyser does: FIRST-LAST."""

    source: str
    target: str
    protocol: str
    ports: str
    """`8443`, `40000-40999`, or `any`."""


def allowed(platform: dict[str, Any], site: str) -> set[Way]:
    """Every path to, from and between the platform's pods at a site that its classes have a use for."""
    place = next(candidate for candidate in platform["sites"] if candidate["name"] == site)
    servers = {
        endpoint["id"]: endpoint
        for endpoint in platform["endpoints"]
        if endpoint["site"] == site and endpoint["target"] in VLLM_TARGETS
    }
    connections: set[Way] = set()
    for id_, server in servers.items():
        connections |= set(_group(f"{OURS}{server['class']}/{id_}", server))
        # The others of a group serve nothing, not even their health.
        leading = serving(f"{OURS}{server['class']}/{id_}", server)
        connections |= {Way(MONITORING, leader, "TCP", HEALTH) for leader in leading}
        store = (server.get("weights") or {}).get("store")
        if store is not None:
            port = store["endpoint"].rpartition("/")[2].partition(":")[2] or "443"
            connections.add(Way(f"{OURS}{server['class']}/{id_}-fetch", store["address"], "TCP", port))
    for gateway in platform["gateways"]:
        if gateway["site"] == site:
            connections |= set(_gateway(gateway, servers, place))
            out = f"{class_space(gateway)}/{gateway['class']}-{'translator' if gateway.get('identity') else 'gateway'}"
            connections |= {Way(out, ends, "TCP", port) for ends, port in _ways_out(gateway, platform)}
            if gateway.get("audit"):
                connections |= set(_sealer(gateway, platform))
                connections |= set(_loader(gateway, platform))
            if gateway.get("database"):
                connections |= set(_database(gateway))
            connections |= set(_people_of_reviews(gateway, platform))
            if gateway.get("chat"):
                connections |= set(_chat(gateway, platform))
    return connections


def _gateway(
    gateway: dict[str, Any], servers: dict[str, dict[str, Any]], site: dict[str, Any]
) -> Iterator[Way]:
    class_, namespace = gateway["class"], class_space(gateway)
    pod, translator = f"{namespace}/{class_}-gateway", f"{namespace}/{class_}-translator"
    behind = bool(gateway.get("identity"))
    yield Way(f"app-{class_}/app", pod, "TCP", SERVING)
    for edge in (pod, translator) if behind else (pod,):
        looked = edge == pod and gateway.get("screening") is not None
        yield Way(MONITORING, edge, "TCP", WITH_DETECTOR if looked else HEALTH)
        for protocol in ("TCP", "UDP"):
            if class_ == "restricted":
                yield from (Way(edge, span(resolver), protocol, DNS) for resolver in site.get("dns") or [])
            elif filters(site):
                yield Way(edge, f"{namespace}/{class_}-resolver", protocol, OWN_DNS)
            else:
                yield Way(edge, RESOLVER, protocol, DNS)
    if class_ != "restricted" and filters(site):
        yield Way(MONITORING, f"{namespace}/{class_}-resolver", "TCP", OWN_DNS_METRICS)
        for protocol in ("TCP", "UDP"):
            yield Way(f"{namespace}/{class_}-resolver", RESOLVER, protocol, DNS)
    if behind:
        yield Way(pod, translator, "TCP", SERVING)
    reached = [guard.get("endpoint") for guard in (gateway.get("screening") or {}).get("guards") or []]
    for workload in gateway["workloads"]:
        reached += [workload["endpoint"], *(workload.get("also") or []), *(workload.get("overflow") or [])]
    for id_ in dict.fromkeys(endpoint_id for endpoint_id in reached if endpoint_id in servers):
        for server in serving(f"{namespace}/{id_}", servers[id_]):
            yield Way(pod, server, "TCP", SERVING)


def filters(site: dict[str, Any]) -> bool:
    """Whether the site's classes have resolvers of their own, with an allow-list of names."""
    return (site.get("cluster_dns") or {}).get("filter", True)


def _sealer(gateway: dict[str, Any], platform: dict[str, Any]) -> Iterator[Way]:
    """Who seals a gateway's records reaches the site's store by its address, and nobody but monitoring reaches it."""
    pod = f"{class_space(gateway)}-sealer/{gateway['class']}-sealer"
    (store,) = [
        store_of_site for store_of_site in platform["audit"] if store_of_site["site"] == gateway["site"]
    ]
    yield Way(MONITORING, pod, "TCP", HEALTH)
    if "endpoint" not in store:
        # AWS's own store, by the sealing endpoint's addresses in the network; who it is the pod identity's agent says.
        yield Way(pod, AGENT, "TCP", "80")
        (network,) = [network for network in platform["networks"] if network["site"] == gateway["site"]]
        # An eighth of the network for each zone by its letter, and in it the sixth address from the end.
        eighths = list(ipaddress.ip_network(network["cidr"]).subnets(prefixlen_diff=3))
        for zone in network["zones"]:
            yield Way(pod, str(eighths["abcdefgh".index(zone[-1])][-6]), "TCP", "443")
        return
    port = store["endpoint"].rpartition("/")[2].partition(":")[2] or "443"
    yield Way(pod, store["address"], "TCP", port)


def _loader(gateway: dict[str, Any], platform: dict[str, Any]) -> Iterator[Way]:
    """Who loads a gateway's usage reaches the ledger and the store of the records by their addresses."""
    ledger = (gateway.get("usage") or {}).get("ledger")
    if ledger is None:
        return
    pod = f"{class_space(gateway)}-loader/{gateway['class']}-loader"
    (store,) = [entry for entry in platform["audit"] if entry["site"] == gateway["site"]]
    yield Way(MONITORING, pod, "TCP", HEALTH)
    yield Way(pod, ledger["address"], "TCP", str(ledger.get("port", 5432)))
    yield Way(pod, store["address"], "TCP", store["endpoint"].rpartition("/")[2].partition(":")[2] or "443")


def _database(gateway: dict[str, Any]) -> Iterator[Way]:
    """The gateway reaches its database by its address; so do those who decide upon its answers, and reviewers them."""
    class_, database = gateway["class"], gateway["database"]
    ends = (database["address"], "TCP", str(database.get("port", 5432)))
    yield Way(f"{class_space(gateway)}/{class_}-gateway", *ends)
    reviews = gateway.get("reviews")
    if reviews:
        pod = f"{class_space(gateway)}-reviews/{class_}-reviews"
        yield Way(pod, *ends)
        yield Way(MONITORING, pod, "TCP", HEALTH)
        yield from (
            Way(f"{from_namespace}/app", pod, "TCP", SERVING)
            for from_namespace in reviews.get("from_namespaces") or []
        )


def _people_of_reviews(gateway: dict[str, Any], platform: dict[str, Any]) -> Iterator[Way]:
    """Browsers come to the desk through its sign-on, and the notifier reaches its database and mail relays."""
    class_, reviews = gateway["class"], gateway.get("reviews") or {}
    if reviews.get("desk"):
        in_front = f"{class_space(gateway)}-reviews-sign-on/{class_}-reviews-sign-on"
        yield Way(in_front, f"{class_space(gateway)}-reviews/{class_}-reviews", "TCP", "8445")
        yield Way(in_front, platform["people"]["sign_on"]["address"], "TCP", "443")
        yield Way(MONITORING, in_front, "TCP", HEALTH)
    if notifier := reviews.get("notifier"):
        pod, database = f"{class_space(gateway)}-notifier/{class_}-notifier", gateway["database"]
        yield Way(pod, database["address"], "TCP", str(database.get("port", 5432)))
        for mail in [target["mail"] for target in notifier["targets"] if target.get("mail")]:
            yield Way(pod, mail["address"], "TCP", str(mail.get("port", 587)))
        yield Way(MONITORING, pod, "TCP", HEALTH)


def _chat(gateway: dict[str, Any], platform: dict[str, Any]) -> Iterator[Way]:
    """Browsers come to the sign-on, from there to the chat, from there to the gateway. Each looks up its own names."""
    class_, chat, sign_on = gateway["class"], gateway["chat"], platform["people"]["sign_on"]
    pod, in_front = (
        f"{class_space(gateway)}-chat/{class_}-chat",
        f"{class_space(gateway)}-sign-on/{class_}-sign-on",
    )
    yield Way(in_front, pod, "TCP", SERVING)
    yield Way(pod, f"{class_space(gateway)}/{class_}-gateway", "TCP", SERVING)
    yield Way(pod, chat["database"]["address"], "TCP", str(chat["database"].get("port", 5432)))
    yield Way(in_front, sign_on["address"], "TCP", "443")
    keys = sign_on["keys"].get("address")
    if keys:
        yield Way(pod, keys, "TCP", "443")
    for each in (pod, in_front):
        yield Way(MONITORING, each, "TCP", HEALTH)


def _ways_out(gateway: dict[str, Any], platform: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Address ranges and ports beyond the cluster: the networks of AWS that carry the class; without an identity
    what the organisation names, which the other test holds to the class."""
    identities = [
        identity
        for identity in platform.get("identities") or []
        if identity["name"] == gateway.get("identity")
    ]
    sites = [identity["site"] for identity in identities]
    if any(identity.get("assumed_by") == "eks-pod-identity" for identity in identities):
        yield AGENT, "80"
    networks = [
        network
        for network in platform.get("networks") or []
        if network["site"] in sites and network.get("cidr")
    ]
    if networks:
        yield from (
            (span(network["cidr"]), "443") for network in networks if gateway["class"] in network["classes"]
        )
    else:
        yield from (
            (span(destination["cidr"]), str(destination["port"]))
            for destination in gateway.get("destinations") or []
        )
    if proxy := gateway.get("proxy"):
        address, _, port = proxy["url"].removeprefix("http://").partition(":")
        yield address, port


def beyond(connections: set[Way], platform: dict[str, Any], site: str) -> set[Way]:
    """Those that lead to addresses where their class may not go: outside the site, and outside the networks of AWS
    that carry the class. Nothing carries restricted work."""
    sites = [
        cidr
        for candidate in platform["sites"]
        if candidate["name"] == site
        for cidr in candidate.get("cidrs") or []
    ]
    placed = {
        f"{OURS}{identity['class']}/{identity['class']}-translator"
        for identity in platform.get("identities") or []
        if identity.get("assumed_by") == "eks-pod-identity" and identity["site"] == site
    } | {
        f"{OURS}{gateway['class']}-sealer/{gateway['class']}-sealer"
        for gateway in platform["gateways"]
        if gateway["site"] == site
        and gateway["runs_on"] == "kubernetes"
        and gateway.get("audit")
        and any(store["site"] == site and "endpoint" not in store for store in platform["audit"])
    }
    outside = set()
    for connection in connections:
        if "/" in connection.target or (
            connection.source in placed and (connection.target, connection.ports) == (AGENT, "80")
        ):
            continue
        class_ = connection.source.removeprefix(OURS).split("/")[0]
        carried = [
            network["cidr"]
            for network in platform.get("networks") or []
            if class_ != "restricted" and class_ in network["classes"] and network.get("cidr")
        ]
        within = [ipaddress.ip_network(cidr) for cidr in [*sites, *carried]]
        ends = [ipaddress.ip_address(address_text) for address_text in connection.target.split("-")]
        if not any(all(end in net for end in ends) for net in within):
            outside.add(connection)
    return outside


def class_space(gateway: dict[str, Any]) -> str:
    """The namespace of a gateway's class."""
    return f"{OURS}{gateway['class']}"


def serving(name: str, server: dict[str, Any]) -> list[str]:
    """A model server's pods that answer: one for all of a Deployment; each group's leader where it spans machines."""
    if server.get("nodes_per_replica", 1) == 1:
        return [name]
    return [f"{name}-group-{group}" for group in range(server["replicas"])]


def _group(name: str, server: dict[str, Any]) -> Iterator[Way]:
    """The pods of one replica over several machines reach each other, and no other replica's."""
    nodes = server.get("nodes_per_replica", 1)
    for group in serving(name, server) if nodes > 1 else []:
        members = [group, *(f"{group}-{worker}" for worker in range(1, nodes))]
        for source_pod, target_pod in itertools.permutations(members, 2):
            yield from (Way(source_pod, target_pod, "TCP", ports) for ports in (RENDEZVOUS, GROUP))


def span(cidr: str) -> str:
    """`10.80.0.0/16` → `10.80.0.0-10.80.255.255`."""
    net = ipaddress.ip_network(cidr, strict=False)
    return str(net[0]) if net.num_addresses == 1 else f"{net[0]}-{net[-1]}"


def ways_of(bodies: list[Body], folder: Path) -> set[Way]:
    """The paths that the analyser sees by these manifests, of those that begin or end at the platform's pods."""
    return {
        path
        for path in analysed([*renamed(bodies), *other_pods(), *strays(bodies)], folder)
        if path.source.startswith(OURS) or path.target.startswith(OURS)
    }


def analysed(bodies: list[Body], folder: Path) -> set[Way]:
    """All paths. `folder` takes the analyser's input."""
    inputs = {
        "namespaces": [body for body in bodies if body["kind"] == "Namespace"],
        "pods": [
            pod
            for body in bodies
            for pod in (as_pods(body) if body["kind"] == "LeaderWorkerSet" else [body])
            if pod["kind"] in KINDS
        ],
        "policies": [body for body in bodies if body["kind"] == "NetworkPolicy"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in inputs.items():
        text = "---\n".join(json.dumps(_no_digits(body)) + "\n" for body in items)
        (folder / f"{name}.yaml").write_text(text)
    python = tools.python("nca")
    assert python is not None, "network-config-analyzer is not installed: run `make graders`"
    command = [
        str(python),
        "-m",
        "nca",
        "--connectivity",
        "policies.yaml",
        "-n",
        "namespaces.yaml",
        "-p",
        "pods.yaml",
    ]
    done = subprocess.run(
        [*command, "--output_format", "txt_no_fw_rules", "--output_endpoints", "deployments", "--return_0"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (folder / "found.txt").write_text(done.stdout + done.stderr)
    lines = [LINE.fullmatch(line.strip()) for line in done.stdout.splitlines() if " => " in line]
    assert lines, f"the analyser found no path at all: {done.stdout}{done.stderr}"
    assert all(lines), f"a line is not understood: {done.stdout}"
    return {path for line in lines if line for path in _paths(line["from"], line["to"], line["how"])}


def _no_digits(value: Any) -> Any:
    """The analyser (2.1.0) reads a label's value "0" as a number and refuses it: here it is `n0` everywhere."""
    if isinstance(value, dict):
        return {key: _no_digits(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_no_digits(element) for element in value]
    return f"n{value}" if isinstance(value, str) and value.isdigit() else value


def _paths(source: str, target: str, how: str) -> Iterator[Way]:
    """`app[Deployment]`, `{protocols:TCP, UDP,dst_ports:53}`: a path for each protocol and each range of ports."""
    source_pod, target_pod = (re.sub(r"\[\w+\]$", "", end) for end in (source, target))
    if how == "All connections":
        yield Way(source_pod, target_pod, "any", "any")
        return
    matches = re.findall(r"\{protocols:([A-Z, ]+?)(?:,dst_ports:([0-9,; -]+))?\}", how)
    assert matches, f"a connection is not understood: {how}"
    for protocols, ports in matches:
        for protocol in protocols.split(","):
            for port in re.split(r"[,;]", ports) if ports else ["any"]:
                yield Way(source_pod, target_pod, protocol.strip(), port.strip())


def renamed(bodies: list[Body]) -> list[Body]:
    """Namespaces with the label that the API server gives each."""
    return [
        {**body, "metadata": _labelled(body["metadata"])} if body["kind"] == "Namespace" else body
        for body in bodies
    ]


def _labelled(meta: dict[str, Any]) -> dict[str, Any]:
    return {**meta, "labels": {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}}


def strays(bodies: list[Body]) -> list[Body]:
    """In each of the platform's namespaces a pod that somebody put there: nothing may reach it, nor it anything."""
    spaces = [body["metadata"]["name"] for body in bodies if body["kind"] == "Namespace"]
    return [pod("stray", name, {}) for name in spaces if name.startswith(OURS)]


def other_pods() -> list[Body]:
    """Namespaces and pods that are not ours."""
    spaces: dict[str, dict[str, str]] = {
        "stranger": {},
        "reviewers": {},
        "monitoring": {},
        "kube-system": {},
        **{f"app-{class_}": {"isthmus.dev/class": class_} for class_ in CLASSES},
    }
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": _labelled({"name": name, "labels": labels}),
        }
        for name, labels in spaces.items()
    ]
    pods += [pod("app", name, {}) for name in spaces if name.startswith(("app-", "reviewers", "stranger"))]
    pods += [pod("prometheus", "monitoring", {}), pod("dns", "kube-system", {"k8s-app": "kube-dns"})]
    return [*pods, pod("neighbour", "kube-system", {})]
