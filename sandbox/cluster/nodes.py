"""Simulated nodes: GPU nodes with the labels of GPU Feature Discovery, and CPU nodes for gateways.

Processors and memory are those of a common GPU server, large enough that GPUs run out first. They say nothing
about the organisation's machines.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

from isthmus.contracts.hardware.gpus import GPUS
from sandbox.cluster.sites import OnPremSite, Pool

_COMPUTE_BY_FAMILY = {"ampere": (8, 0), "ada-lovelace": (8, 9), "hopper": (9, 0), "blackwell": (10, 0)}
"""Compute capability (major, minor) by family; source: NVIDIA's list of CUDA GPUs."""
_COMPUTE_BY_GPU = {"a10g-24gb": (8, 6), "b300-sxm-288gb": (10, 3), "rtx-pro-6000-96gb": (12, 0)}
"""Compute capability of GPUs that differ from their family; same source."""

CPU_PER_GPU, MEMORY_GIB_PER_GPU = 16, 128
CPU_NODES = 2
"""Nodes without GPUs at each site, in different zones."""


def build_nodes(site: OnPremSite) -> list[dict[str, Any]]:
    """Return the manifests of all nodes of a site."""
    gpu_nodes = [_build_gpu_node(site, pool, number) for pool in site.pools for number in range(pool.nodes)]
    return gpu_nodes + [_build_cpu_node(site, number) for number in range(CPU_NODES)]


def zone_name(site: str, domain: int) -> str:
    """Return the zone of a failure domain: `SITE-a`, `SITE-b`, …"""
    return f"{site}-{ascii_lowercase[domain % len(ascii_lowercase)]}"


def _site_zone(site: OnPremSite, domain: int) -> str:
    """Return the zone of a failure domain, named as AWS does (`eu-central-1a`) for a site in AWS."""
    return f"{site.zones}{ascii_lowercase[domain]}" if site.zones else zone_name(site.name, domain)


def machine_name(pool: str, number: int) -> str:
    """Return the name of a pool's machine. Machines are numbered from 0."""
    return f"{pool}-{number}"


def _build_gpu_node(site: OnPremSite, pool: Pool, number: int) -> dict[str, Any]:
    gpu = GPUS[pool.gpu]
    major, minor = _COMPUTE_BY_GPU.get(gpu.id, _COMPUTE_BY_FAMILY[gpu.family])
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
    zone = _site_zone(site, number % pool.failure_domains)
    node = _build_node(machine_name(pool.name, number), zone, labels, resources)
    if pool.from_node_group:
        node["metadata"]["labels"]["isthmus.dev/pool"] = pool.name
        node["spec"] = {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}
    return node


def _build_cpu_node(site: OnPremSite, number: int) -> dict[str, Any]:
    resources = {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    return _build_node(f"{site.name}-cpu-{number}", _site_zone(site, number), {}, resources)


def _build_node(name: str, zone: str, labels: dict[str, str], resources: dict[str, str]) -> dict[str, Any]:
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
                "topology.kubernetes.io/zone": zone,
                **labels,
            },
        },
        "status": {"capacity": resources, "allocatable": resources},
    }
