"""A multi-node replica: a group of pods with a leader.

vLLM runs tensor parallel within each node and pipeline parallel over the nodes, with its own processes (`--nnodes`,
`--node-rank`, `--master-addr`; workers `--headless`). This is documented as an alternative to Ray, and needs no
second scheduler with its dashboard and ports inside the boundary.

No pod uses a resolver. The leader of each group has its own Service, whose address is in the pods' `hostAliases`. A
worker finds its leader by its own label.
"""

from dataclasses import dataclass
from typing import Any

from components.cluster.objects import GROUP_LABEL, GROUP_PORTS, MEMBER_LABEL, RENDEZVOUS_PORT
from isthmus.core.errors import InputError

LEADER_LABELS = {MEMBER_LABEL: "0"}
"""Labels that only leaders have."""
PORT_RANGE = {"name": "net.ipv4.ip_local_port_range", "value": f"{GROUP_PORTS[0]} {GROUP_PORTS[1]}"}
"""A sysctl that Pod Security `restricted` allows. Sockets without a fixed port get one in this range."""
_LEADER = "LEADER"
_REACHES_LEADER = (
    f"import os, socket; socket.create_connection((os.environ['{_LEADER}'], {RENDEZVOUS_PORT}), 4).close()"
)


@dataclass(frozen=True)
class Member:
    """The role of a pod in its group."""

    leads: bool
    nodes: int
    """Number of nodes in the group, with one pod on each."""
    addresses: tuple[Any, ...]
    """Address of each group's leader, in the order of the groups."""
    load_timeout_s: int

    def arguments(self) -> list[str]:
        """The arguments of `vllm serve` that depend on the member."""
        rank, leader = ("0", "$(VLLM_HOST_IP)") if self.leads else ("$(MEMBER)", f"$({_LEADER})")
        flags = [
            f"--pipeline-parallel-size={self.nodes}",
            f"--nnodes={self.nodes}",
            f"--node-rank={rank}",
            f"--master-addr={leader}",
            f"--master-port={RENDEZVOUS_PORT}",
            # A node may have pulled the image and read the weights long before another one.
            f"--distributed-timeout-seconds={self.load_timeout_s}",
        ]
        return flags if self.leads else [*flags, "--headless"]

    def environment(self) -> list[dict[str, Any]]:
        """Environment variables: the pod's address and, for a worker, its rank and its leader."""
        variables = [_field_variable("VLLM_HOST_IP", "status.podIP")]
        if self.leads:
            return variables
        return [
            *variables,
            _field_variable("GROUP", f"metadata.labels['{GROUP_LABEL}']"),
            _field_variable("MEMBER", f"metadata.labels['{MEMBER_LABEL}']"),
            {"name": _LEADER, "value": "leader-$(GROUP)"},
        ]

    def aliases(self) -> list[dict[str, Any]]:
        """`hostAliases` with every group's leader, because all groups have the same template."""
        return [
            {"ip": address, "hostnames": [f"leader-{group}"]} for group, address in enumerate(self.addresses)
        ]


def worker_probe(period: int, failures: int) -> dict[str, Any]:
    """The probe of a worker, which has no listener: it is healthy while it runs and the leader's rendezvous port
    responds.
    """
    return {
        "exec": {"command": ["python3", "-c", _REACHES_LEADER]},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def check_nodes_per_replica(nodes: int, where: str) -> int:
    """Return `nodes`. Raises `InputError` if it is below 1."""
    if nodes < 1:
        raise InputError(f"nodes_per_replica is {nodes}", where=where, fix="Set it to 1 or more")
    return nodes


def group_policy(selector: dict[str, str], group: int) -> dict[str, Any]:
    """NetworkPolicy of one group: its pods reach only each other, on the ports listed here."""
    members = {"podSelector": {"matchLabels": {**selector, GROUP_LABEL: str(group)}}}
    ports = [
        {"protocol": "TCP", "port": RENDEZVOUS_PORT},
        {"protocol": "TCP", "port": GROUP_PORTS[0], "endPort": GROUP_PORTS[1]},
    ]
    return {
        **members,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [members], "ports": ports}],
        "egress": [{"to": [members], "ports": ports}],
    }


def leader_service(selector: dict[str, str], group: int) -> dict[str, Any]:
    """The Service of a group's leader, which has an address before any of its pods is ready."""
    return {
        "type": "ClusterIP",
        "selector": {**selector, GROUP_LABEL: str(group), **LEADER_LABELS},
        "publishNotReadyAddresses": True,
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }


def _field_variable(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
