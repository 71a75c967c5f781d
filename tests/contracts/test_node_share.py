"""The part of an on-prem node that a replica gets, and nodes that are too small for one."""

from __future__ import annotations

from isthmus.contracts.reference.model_profiles import min_cpus, min_memory_gib
from isthmus.contracts.requirements.node_share import node_lacks
from isthmus.contracts.requirements.sites import Pool


def lack(cpus: int | None = None, memory_gib: int | None = None, gpus: int = 8) -> str | None:
    """What a node of eight GPUs lacks for a replica on some of them."""
    pool = Pool(gpu="l40s-48gb", nodes=1, gpus_per_node=8, cpus_per_node=cpus, memory_gib_per_node=memory_gib)
    return node_lacks(pool, gpus)


def test_a_node_of_unknown_size_lacks_nothing() -> None:
    assert lack() is None


def test_a_node_with_too_little_memory_or_too_few_cpus_for_vllm_is_named_with_what_it_has() -> None:
    assert lack(cpus=256, memory_gib=2048) is None
    assert f"vLLM needs {min_memory_gib(8)}" in (lack(memory_gib=min_memory_gib(8)) or "")
    assert "GiB of memory" in (lack(cpus=256, memory_gib=8) or "")
    assert f"vLLM needs {min_cpus(8)}" in (lack(cpus=min_cpus(8)) or "")
    assert "CPUs" in (lack(cpus=2, memory_gib=2048) or "")
