"""Simulated nodes: GPU nodes as GPU Feature Discovery would label them, and plain ones for gateways.

Figures for processors and memory are those of a common GPU server, large enough that GPUs run out
first; they claim nothing about the organisation's machines.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

from isthmus.contracts.hardware.gpus import GPUS
from sandbox.cluster.sites import OnPremSite, Pool

_COMPUTE = {"ampere": (8, 0), "ada-lovelace": (8, 9), "hopper": (9, 0), "blackwell": (10, 0)}
"""Compute capability by family; source: NVIDIA's list of CUDA GPUs."""
_COMPUTE_OF = {"a10g-24gb": (8, 6), "b300-sxm-288gb": (10, 3), "rtx-pro-6000-96gb": (12, 0)}
"""Where a card differs from its family; same source."""

CPU_PER_GPU, MEMORY_GIB_PER_GPU = 16, 128
CPU_NODES = 2
"""Nodes without GPUs at each site, in different zones."""


def nodes(site: OnPremSite) -> list[dict[str, Any]]:
    """Every node of a site."""
    made = [_gpu_node(site, pool, number) for pool in site.pools for number in range(pool.nodes)]
    return made + [_cpu_node(site, number) for number in range(CPU_NODES)]


def zone(site: str, domain: int) -> str:
    """`SITE-a`, `SITE-b`, …"""
    return f"{site}-{ascii_lowercase[domain % len(ascii_lowercase)]}"


def _zone_at(site: OnPremSite, domain: int) -> str:
    """As `zone`; of a site in AWS as AWS calls them: `eu-central-1a`."""
    return f"{site.zones}{ascii_lowercase[domain]}" if site.zones else zone(site.name, domain)


def machine(pool: str, number: int) -> str:
    """The name of a pool's machine, from 0."""
    return f"{pool}-{number}"


def _gpu_node(site: OnPremSite, pool: Pool, number: int) -> dict[str, Any]:
    gpu = GPUS[pool.gpu]
    major, minor = _COMPUTE_OF.get(gpu.id, _COMPUTE[gpu.family])
    labels = {
        "feature.node.kubernetes.io/pci-10de.present": "true",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": gpu.product,
        "nvidia.com/gpu.count": str(pool.gpus_per_node),
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.memory": str(gpu.memory_mib),
        "nvidia.com/gpu.family": gpu.family,
        "nvidia.com/gpu.machine": "simulated",
        "nvidia.com/gpu.compute.major": str(major),
        "nvidia.com/gpu.compute.minor": str(minor),
        "nvidia.com/mig.capable": str(gpu.mig_capable).lower(),
    }
    if gpu.mig_capable:
        labels |= {
            "nvidia.com/mig.strategy": "mixed",
            "nvidia.com/mig.config": "all-disabled",
            "nvidia.com/mig.config.state": "success",
        }
    resources = {
        "cpu": str(CPU_PER_GPU * (pool.gpus_per_node + 1)),
        "memory": f"{MEMORY_GIB_PER_GPU * (pool.gpus_per_node + 1)}Gi",
        "ephemeral-storage": "2Ti",
        "pods": "110",
        "nvidia.com/gpu": str(pool.gpus_per_node),
    }
    domain = _zone_at(site, number % pool.failure_domains)
    made = _node(machine(pool.name, number), domain, labels, resources)
    if pool.made:
        made["metadata"]["labels"]["isthmus.dev/pool"] = pool.name
        made["spec"] = {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}
    return made


def _cpu_node(site: OnPremSite, number: int) -> dict[str, Any]:
    resources = {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    return _node(f"{site.name}-cpu-{number}", _zone_at(site, number), {}, resources)


def _node(name: str, domain: str, labels: dict[str, str], resources: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": domain,
                **labels,
            },
        },
        "status": {"capacity": resources, "allocatable": resources},
    }
