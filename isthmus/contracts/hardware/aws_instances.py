"""Machines of AWS's with GPUs, by their type: what a node group is made of, and what fits on it.

The same as the planner's table, which has prices and regions besides and says where each figure is from (a test
holds the two together).
"""

from __future__ import annotations

from typing import NamedTuple


class Instance(NamedTuple):
    """A type of machine."""

    gpu: str
    gpus: int
    vcpus: int
    memory_gib: float


INSTANCES: dict[str, Instance] = {
    "g5.12xlarge": Instance("a10g-24gb", 4, 48, 192),
    "g5.16xlarge": Instance("a10g-24gb", 1, 64, 256),
    "g5.24xlarge": Instance("a10g-24gb", 4, 96, 384),
    "g5.2xlarge": Instance("a10g-24gb", 1, 8, 32),
    "g5.48xlarge": Instance("a10g-24gb", 8, 192, 768),
    "g5.4xlarge": Instance("a10g-24gb", 1, 16, 64),
    "g5.8xlarge": Instance("a10g-24gb", 1, 32, 128),
    "g5.xlarge": Instance("a10g-24gb", 1, 4, 16),
    "g6.12xlarge": Instance("l4-24gb", 4, 48, 192),
    "g6.16xlarge": Instance("l4-24gb", 1, 64, 256),
    "g6.24xlarge": Instance("l4-24gb", 4, 96, 384),
    "g6.2xlarge": Instance("l4-24gb", 1, 8, 32),
    "g6.48xlarge": Instance("l4-24gb", 8, 192, 768),
    "g6.4xlarge": Instance("l4-24gb", 1, 16, 64),
    "g6.8xlarge": Instance("l4-24gb", 1, 32, 128),
    "g6.xlarge": Instance("l4-24gb", 1, 4, 16),
    "g6e.12xlarge": Instance("l40s-48gb", 4, 48, 384),
    "g6e.16xlarge": Instance("l40s-48gb", 1, 64, 512),
    "g6e.24xlarge": Instance("l40s-48gb", 4, 96, 768),
    "g6e.2xlarge": Instance("l40s-48gb", 1, 8, 64),
    "g6e.48xlarge": Instance("l40s-48gb", 8, 192, 1536),
    "g6e.4xlarge": Instance("l40s-48gb", 1, 16, 128),
    "g6e.8xlarge": Instance("l40s-48gb", 1, 32, 256),
    "g6e.xlarge": Instance("l40s-48gb", 1, 4, 32),
    "g7e.12xlarge": Instance("rtx-pro-6000-96gb", 2, 48, 512),
    "g7e.24xlarge": Instance("rtx-pro-6000-96gb", 4, 96, 1024),
    "g7e.2xlarge": Instance("rtx-pro-6000-96gb", 1, 8, 64),
    "g7e.48xlarge": Instance("rtx-pro-6000-96gb", 8, 192, 2048),
    "g7e.4xlarge": Instance("rtx-pro-6000-96gb", 1, 16, 128),
    "g7e.8xlarge": Instance("rtx-pro-6000-96gb", 1, 32, 256),
    "gr6.4xlarge": Instance("l4-24gb", 1, 16, 128),
    "gr6.8xlarge": Instance("l4-24gb", 1, 32, 256),
    "p4d.24xlarge": Instance("a100-sxm-40gb", 8, 96, 1152),
    "p4de.24xlarge": Instance("a100-sxm-80gb", 8, 96, 1152),
    "p5.48xlarge": Instance("h100-sxm-80gb", 8, 192, 2048),
    "p5.4xlarge": Instance("h100-sxm-80gb", 1, 16, 256),
    "p5e.48xlarge": Instance("h200-sxm-141gb", 8, 192, 2048),
    "p5en.48xlarge": Instance("h200-sxm-141gb", 8, 192, 2048),
    "p6-b200.48xlarge": Instance("b200-sxm-180gb", 8, 192, 2048),
    "p6-b300.48xlarge": Instance("b300-sxm-288gb", 8, 192, 4096),
}
