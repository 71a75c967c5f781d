"""Catalogue of GPUs: usable memory, speed, links, power, and MIG profiles."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import tables

pass

LARGE_MIB = 70 * 1024
"""vLLM uses larger defaults from this memory on, except on an A100."""


@dataclass(frozen=True)
class Slice:
    """A MIG profile of a GPU."""

    profile: str
    usable_mib: int | None
    """None if no published reading is known. Such a slice is not planned with."""
    compute: float
    """Part of the card's arithmetic, 0 to 1; `bandwidth` is the part of its memory bandwidth."""
    bandwidth: float
    instances: int


@dataclass(frozen=True)
class GpuKind:
    """One kind of GPU."""

    id: str
    name: str
    usable_mib: int
    """Memory that CUDA reports, which is less than the label."""
    card: Card
    power_w: int
    precisions: tuple[str, ...]
    """Precisions that its tensor cores or vLLM's kernels support."""
    slices: tuple[Slice, ...]
    source: str
    as_of: str

    @property
    def large(self) -> bool:
        return self.usable_mib >= LARGE_MIB and not self.id.startswith("a100")

    def slice(self, profile: str) -> Slice:
        """Return a MIG profile. Raises `InputError` if the GPU does not have it, or its memory is not known."""
        for slice in self.slices:
            if slice.profile == profile:
                if slice.usable_mib is None:
                    raise InputError(
                        f"the usable memory of MIG profile {profile} of {self.id} is not known",
                        where="--mig",
                        fix="Choose another profile, or use the whole GPU",
                    )
                return slice
        names = ", ".join(slice.profile for slice in self.slices)
        fix = f"Choose one of: {names}" if names else "Remove --mig: this GPU has no MIG profiles"
        raise InputError(f"{self.id} has no MIG profile `{profile}`", where="--mig", fix=fix)


def rows() -> tuple[dict[str, Any], ...]:
    return tables.rows("gpus")


def ids() -> tuple[str, ...]:
    return tuple(row["id"] for row in rows())


@functools.cache
def find(id: str) -> GpuKind:
    """Return a GPU by its id. Raises `InputError` that suggests the nearest id."""
    for row in rows():
        if row["id"] == id:
            return _gpu_from_row(row)
    from isthmus.core.validation_errors import did_you_mean

    raise InputError(
        f"the GPU `{id}` is not in the catalogue",
        where="--gpu",
        fix=f"{did_you_mean(id, ids())} Choose one of: {', '.join(ids())}".strip(),
    )


def _gpu_from_row(row: dict[str, Any]) -> GpuKind:
    tflops, link = row["tflops"], row["link"]
    # Kernels widen 8-bit and 4-bit integer weights on every card. FP8 and FP4 need hardware support.
    precisions = ["bf16", "int8", "int4", "mxfp4"]
    precisions += ["fp8"] if tflops["fp8"] else []
    precisions += ["nvfp4"] if tflops["fp4"] else []
    memory_slices = max((profile["memory_slices"] for profile in row["mig"]), default=8)
    slices = tuple(
        Slice(
            profile["profile"],
            profile["usable_mib"],
            profile["compute_slices"] / max(profile["compute_slices"] for profile in row["mig"]),
            profile["memory_slices"] / memory_slices,
            profile["instances"],
        )
        for profile in row["mig"]
    )
    return GpuKind(
        id=row["id"],
        name=row["name"],
        usable_mib=row["usable_mib"],
        card=Card(
            row["bandwidth_gb_s"],
            tflops["bf16"],
            tflops["fp8"],
            tflops["fp4"],
            link["gb_s"],
            nvlink=link["kind"] == "nvlink",
        ),
        power_w=row["power_w"],
        precisions=tuple(precisions),
        slices=slices,
        source=row["evidence"]["source"],
        as_of=row["evidence"]["as_of"],
    )


@dataclass(frozen=True)
class Card:
    """The figures of a GPU that decide its speed. Decimal units."""

    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    fp4_tflops: float | None
    link_gb_s: float
    """To the other GPUs of its node, one direction."""
    nvlink: bool
