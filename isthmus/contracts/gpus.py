"""The GPUs that requirements may name, as GPU Feature Discovery sees them.

`product` is the value of the node label `nvidia.com/gpu.product`, `memory_mib` that of
`nvidia.com/gpu.memory` (MiB, as the driver reports it: less than the card's label says), `family`
that of `nvidia.com/gpu.family`. The values are those that the driver prints for each card, written
down from knowledge on 2026-11-25; only the L40S row was compared with labels of a public cluster. A
driver or MIG setting may name a product otherwise: `pools[].product` in the overrides says so then,
and a wrong label shows at once, since no node fits. Data only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["ampere", "ada-lovelace", "hopper", "blackwell"]


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU."""

    id: str
    """Isthmus' id, e.g. `h100-sxm-80gb`."""
    product: str
    """Label `nvidia.com/gpu.product`."""
    memory_mib: int
    """Label `nvidia.com/gpu.memory`, MiB."""
    family: Family
    mig_capable: bool


_TABLE: tuple[tuple[str, str, int, Family, bool], ...] = (
    ("a100-pcie-40gb", "NVIDIA-A100-PCIE-40GB", 40960, "ampere", True),
    ("a100-pcie-80gb", "NVIDIA-A100-80GB-PCIe", 81920, "ampere", True),
    ("a100-sxm-40gb", "NVIDIA-A100-SXM4-40GB", 40960, "ampere", True),
    ("a100-sxm-80gb", "NVIDIA-A100-SXM4-80GB", 81920, "ampere", True),
    ("a10g-24gb", "NVIDIA-A10G", 23028, "ampere", False),
    ("a30-24gb", "NVIDIA-A30", 24576, "ampere", True),
    ("b200-sxm-180gb", "NVIDIA-B200", 183359, "blackwell", True),
    ("b300-sxm-288gb", "NVIDIA-B300-SXM6-AC", 275040, "blackwell", True),
    ("h100-nvl-94gb", "NVIDIA-H100-NVL", 95830, "hopper", True),
    ("h100-pcie-80gb", "NVIDIA-H100-PCIe", 81559, "hopper", True),
    ("h100-sxm-80gb", "NVIDIA-H100-80GB-HBM3", 81559, "hopper", True),
    ("h200-sxm-141gb", "NVIDIA-H200", 143771, "hopper", True),
    ("l4-24gb", "NVIDIA-L4", 23034, "ada-lovelace", False),
    ("l40s-48gb", "NVIDIA-L40S", 46068, "ada-lovelace", False),
    (
        "rtx-pro-6000-96gb",
        "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
        97887,
        "blackwell",
        True,
    ),
)

GPUS: dict[str, Gpu] = {row[0]: Gpu(*row) for row in _TABLE}
"""Every GPU that Isthmus knows, by id, in the order of their ids."""
