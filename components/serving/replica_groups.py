"""A replica over several machines: a group of pods, the first of which leads.

vLLM runs tensor parallel within each machine and pipeline parallel over them, as its own processes
(`--nnodes`, `--node-rank`, `--master-addr`; workers `--headless`): documented beside Ray, and without a
second scheduler, its dashboard and its dozen of ports inside the boundary.

No pod asks a resolver. The leader of each group has a Service of its own, whose address stands in the
pods' `hostAliases`; a worker knows by its label which one is its leader.
"""

from dataclasses import dataclass
from typing import Any

from components.cluster.objects import GROUP_LABEL, GROUP_PORTS, MEMBER_LABEL, RENDEZVOUS_PORT
from isthmus.core.errors import InputError

LEADER_LABELS = {MEMBER_LABEL: "0"}
"""The labels that only leaders bear."""
PORT_RANGE = {"name": "net.ipv4.ip_local_port_range", "value": f"{GROUP_PORTS[0]} {GROUP_PORTS[1]}"}
"""A sysctl that Pod Security `restricted` allows: sockets that ask for any port get one of these."""
_LEADER = "LEADER"
_REACHES_LEADER = (
    f"import os, socket; socket.create_connection((os.environ['{_LEADER}'], {RENDEZVOUS_PORT}), 4).close()"
)


@dataclass(frozen=True)
class Member:
    """A pod's part in its group."""

    leads: bool
    nodes: int
    """Machines of the group, a pod on each."""
    addresses: tuple[Any, ...]
    """Of each group's leader, in the groups' order."""
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
            # One machine may have pulled the image and read the weights long before another.
            f"--distributed-timeout-seconds={self.load_timeout_s}",
        ]
        return flags if self.leads else [*flags, "--headless"]

    def environment(self) -> list[dict[str, Any]]:
        """Variables: its address for the others and, for a worker, its rank and its leader."""
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
        """`hostAliases`: every group's leader, since all groups are made from one template."""
        return [
            {"ip": address, "hostnames": [f"leader-{group}"]} for group, address in enumerate(self.addresses)
        ]


def worker_probe(period: int, failures: int) -> dict[str, Any]:
    """A worker serves no port; it is well while it runs and its leader's meeting point answers it."""
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
    """NetworkPolicy of one group: its pods reach each other, on the ports named here, and nobody else."""
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
    """Service by which a group finds its leader, before any of its pods is ready."""
    return {
        "type": "ClusterIP",
        "selector": {**selector, GROUP_LABEL: str(group), **LEADER_LABELS},
        "publishNotReadyAddresses": True,
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }


def _field_variable(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
