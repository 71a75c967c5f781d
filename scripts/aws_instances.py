"""Write the table of AWS GPU instance types that the planner may choose from.

Reads the tables of `describe-instance-types` and `describe-instance-type-offerings` that moto ships
and writes `isthmus/planning/catalogues/data/instances.json`, one row a line:

    python scripts/aws_instances.py

Types with a fraction of a GPU are skipped. moto's tables have only EC2 types, no SageMaker types. After an
update of moto, add the date of its tables to `_TABLES_AS_OF`, and run `git diff` on the file.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "isthmus/planning/catalogues/data/instances.json"

GPU_OF_FAMILY: dict[str, str] = {
    "g5": "a10g-24gb",
    "g6": "l4-24gb",
    "g6e": "l40s-48gb",
    "g6f": "l4-24gb",
    "g7e": "rtx-pro-6000-96gb",
    "gr6": "l4-24gb",
    "p4d": "a100-sxm-40gb",
    "p4de": "a100-sxm-80gb",
    "p5": "h100-sxm-80gb",
    "p5e": "h200-sxm-141gb",
    "p5en": "h200-sxm-141gb",
    "p6-b200": "b200-sxm-180gb",
    "p6-b300": "b300-sxm-288gb",
}
"""Isthmus' id of the GPU that each family carries."""

_TABLES_AS_OF: dict[str, str] = {"5.2.5": "2026-10-27"}
"""Date of the tables inside moto's wheel, by version: an upper bound, since the tables hold no date."""


def _load(path: Traversable) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def _network_gbps(info: dict[str, Any]) -> int:
    """Gbit/s that AWS states: `400` for "4x 100 Gigabit", `20` for "Up to 20 Gigabit"."""
    network_performance = info["NetworkPerformance"]
    match = re.fullmatch(r"(?:Up to )?(?:(\d+)x )?(\d+) Gigabit", network_performance)
    if match is None:
        raise ValueError(f"unknown network performance: {network_performance!r}")
    return int(match[1] or 1) * int(match[2])


def _regions(resources: Traversable) -> dict[str, list[str]]:
    """The regions that offer each instance type, sorted."""
    regions: dict[str, list[str]] = {}
    for path in (resources / "instance_type_offerings" / "region").iterdir():
        for offering in _load(path):
            regions.setdefault(offering["InstanceType"], []).append(offering["Location"])
    return {kind: sorted(locations) for kind, locations in regions.items()}


def _row(info: dict[str, Any], regions: list[str], evidence: dict[str, str]) -> dict[str, Any] | None:
    """One row, or None for a type that carries a fraction of a GPU."""
    kind = info["InstanceType"]
    gpus = sum(gpu["Count"] for gpu in info["GpuInfo"]["Gpus"])
    if gpus == 0 or any(gpu.get("GpuPartitionSize", 1.0) < 1 for gpu in info["GpuInfo"]["Gpus"]):
        return None
    memory, fraction_mib = divmod(info["MemoryInfo"]["SizeInMiB"], 1024)
    if fraction_mib:
        raise ValueError(f"{kind}: memory is not a whole number of GiB")
    return {
        "type": kind,
        "gpu": GPU_OF_FAMILY[kind.partition(".")[0]],
        "gpus": gpus,
        "vcpus": info["VCpuInfo"]["DefaultVCpus"],
        "memory_gib": memory,
        "network_gbps": _network_gbps(info["NetworkInfo"]),
        "local_nvme_gb": info.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        "regions": regions,
        "evidence": evidence,
    }


def rows() -> list[dict[str, Any]]:
    """Every row of the table, sorted by type."""
    moto = version("moto")
    evidence = {
        "kind": "given",
        "source": f"moto {moto}, ec2 instance_types and instance_type_offerings",
        "as_of": _TABLES_AS_OF.get(moto, "unknown"),
    }
    resources = files("moto") / "ec2" / "resources"
    regions = _regions(resources)
    types = _load(resources / "instance_types.json.gz")
    gpu_types = (types[kind] for kind in sorted(types) if kind.partition(".")[0] in GPU_OF_FAMILY)
    optional_rows = (_row(info, regions.get(info["InstanceType"], []), evidence) for info in gpu_types)
    return [row for row in optional_rows if row is not None]


def main() -> int:
    """Write the file and print the number of rows."""
    table = rows()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(row) for row in table) + "\n]\n", encoding="utf-8")
    print(f"{OUT}: {len(table)} instance types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
