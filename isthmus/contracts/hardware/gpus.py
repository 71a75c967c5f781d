"""The GPUs that requirements may name, as GPU Feature Discovery sees them.

`product` is the value of the node label `nvidia.com/gpu.product`, `memory_mib` that of
`nvidia.com/gpu.memory` (MiB, as the driver reports it: less than the card's label says), `family`
that of `nvidia.com/gpu.family`. The values are those that the driver prints for each card, written
down from knowledge on 2026-11-25; only the L40S row was compared with labels of a public cluster. A
driver or MIG setting may name a product otherwise: `pools[].product` in the overrides says so then,
and a wrong label shows at once, since no node fits. `pci_devices` are the device ids below vendor 10de in
https://pci-ids.ucw.cz, version 2026.08.22. Data only.
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
    pci_devices: tuple[str, ...] = ()
    """PCI device ids (lower-case hexadecimal, vendor 10de). They are known before a driver is loaded, as the other
    labels are not."""
    mig: tuple[tuple[str, int], ...] = ()
    """MIG profiles, and how many slices of each one GPU gives (NVIDIA's MIG User Guide, supported profiles)."""

    @property
    def mig_capable(self) -> bool:
        return bool(self.mig)


_A100_40 = (("1g.5gb", 7), ("1g.10gb", 4), ("2g.10gb", 3), ("3g.20gb", 2), ("4g.20gb", 1), ("7g.40gb", 1))
_80GB = (("1g.10gb", 7), ("1g.20gb", 4), ("2g.20gb", 3), ("3g.40gb", 2), ("4g.40gb", 1), ("7g.80gb", 1))
_H100_94 = (("1g.12gb", 7), ("1g.24gb", 4), ("2g.24gb", 3), ("3g.47gb", 2), ("4g.47gb", 1), ("7g.94gb", 1))
_H200 = (("1g.18gb", 7), ("1g.35gb", 4), ("2g.35gb", 3), ("3g.71gb", 2), ("4g.71gb", 1), ("7g.141gb", 1))
_B200 = (("1g.23gb", 7), ("1g.45gb", 4), ("2g.45gb", 3), ("3g.90gb", 2), ("4g.90gb", 1), ("7g.180gb", 1))
_B300 = (("1g.34gb", 7), ("1g.67gb", 4), ("2g.67gb", 3), ("3g.135gb", 2), ("4g.135gb", 1), ("7g.269gb", 1))
_A30 = (("1g.6gb", 4), ("2g.12gb", 2), ("4g.24gb", 1))
_RTX_PRO_6000 = (("1g.24gb", 4), ("2g.48gb", 2), ("4g.96gb", 1))

_TABLE: tuple[tuple[str, str, int, Family, tuple[str, ...], tuple[tuple[str, int], ...]], ...] = (
    ("a100-pcie-40gb", "NVIDIA-A100-PCIE-40GB", 40960, "ampere", ("20b1", "20f1"), _A100_40),
    ("a100-pcie-80gb", "NVIDIA-A100-80GB-PCIe", 81920, "ampere", ("20b5",), _80GB),
    ("a100-sxm-40gb", "NVIDIA-A100-SXM4-40GB", 40960, "ampere", ("20b0",), _A100_40),
    ("a100-sxm-80gb", "NVIDIA-A100-SXM4-80GB", 81920, "ampere", ("20b2",), _80GB),
    ("a10g-24gb", "NVIDIA-A10G", 23028, "ampere", ("2237",), ()),
    ("a30-24gb", "NVIDIA-A30", 24576, "ampere", ("20b7",), _A30),
    ("b200-sxm-180gb", "NVIDIA-B200", 183359, "blackwell", ("2901",), _B200),
    ("b300-sxm-288gb", "NVIDIA-B300-SXM6-AC", 275040, "blackwell", ("3182",), _B300),
    ("h100-nvl-94gb", "NVIDIA-H100-NVL", 95830, "hopper", ("2321",), _H100_94),
    ("h100-pcie-80gb", "NVIDIA-H100-PCIe", 81559, "hopper", ("2331",), _80GB),
    ("h100-sxm-80gb", "NVIDIA-H100-80GB-HBM3", 81559, "hopper", ("2330",), _80GB),
    ("h200-sxm-141gb", "NVIDIA-H200", 143771, "hopper", ("2335",), _H200),
    ("l4-24gb", "NVIDIA-L4", 23034, "ada-lovelace", ("27b8",), ()),
    ("l40s-48gb", "NVIDIA-L40S", 46068, "ada-lovelace", ("26b9",), ()),
    (
        "rtx-pro-6000-96gb",
        "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
        97887,
        "blackwell",
        ("2bb5",),
        _RTX_PRO_6000,
    ),
)

GPUS: dict[str, Gpu] = {row[0]: Gpu(*row) for row in _TABLE}
"""Every GPU that Isthmus knows, by id, in the order of their ids."""


def pci_devices_of(product: str) -> tuple[str, ...]:
    """PCI device ids of a product by its node label; empty for one that Isthmus does not know."""
    return next((gpu.pci_devices for gpu in GPUS.values() if gpu.product == product), ())
