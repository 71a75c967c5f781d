"""The catalogue of GPUs: memory as CUDA sees it, speed, links, power, and the slices that MIG makes of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import tables

pass

LARGE_MIB = 70 * 1024
"""From here on vLLM takes larger defaults, but on an A100."""


@dataclass(frozen=True)
class Slice:
    """What MIG makes of a card."""

    profile: str
    usable_mib: int | None
    """None: nobody is known to have read it; then nothing is promised of it."""
    compute: float
    """Part of the card's arithmetic and, by memory slices, of its bandwidth."""
    bandwidth: float
    instances: int


@dataclass(frozen=True)
class GpuKind:
    """One kind of GPU."""

    id: str
    name: str
    usable_mib: int
    """What CUDA says it has: less than the label."""
    card: Card
    power_w: int
    precisions: tuple[str, ...]
    """Those that its tensor cores or vLLM's kernels compute with."""
    slices: tuple[Slice, ...]
    source: str
    as_of: str

    @property
    def large(self) -> bool:
        return self.usable_mib >= LARGE_MIB and not self.id.startswith("a100")

    def slice(self, profile: str) -> Slice:
        """A MIG profile of the card. Raises `InputError` for one that it has not, or whose memory nobody knows."""
        for each in self.slices:
            if each.profile == profile:
                if each.usable_mib is None:
                    raise InputError(
                        f"the memory of {self.id}'s MIG profile {profile} is not known",
                        where="--mig",
                        fix="Take another profile, or the whole card",
                    )
                return each
        names = ", ".join(each.profile for each in self.slices)
        fix = f"It has: {names}" if names else "It has none: leave the option away"
        raise InputError(f"{self.id} has no MIG profile `{profile}`", where="--mig", fix=fix)


def rows() -> tuple[dict[str, Any], ...]:
    return tables.rows("gpus")


def ids() -> tuple[str, ...]:
    return tuple(row["id"] for row in rows())


@functools.cache
def find(id: str) -> GpuKind:
    """A GPU by its id. Raises `InputError` with the nearest one."""
    for row in rows():
        if row["id"] == id:
            return _of_row(row)
    from isthmus.core.validation_errors import did_you_mean

    raise InputError(
        f"the GPU `{id}` is not known",
        where="--gpu",
        fix=f"{did_you_mean(id, ids())} Known: {', '.join(ids())}".strip(),
    )


def _of_row(row: dict[str, Any]) -> GpuKind:
    tflops, link = row["tflops"], row["link"]
    # Weights of 8 and 4 bits run on every card by kernels that widen them; FP8 and FP4 arithmetic only where it is.
    precisions = ["bf16", "int8", "int4", "mxfp4"]
    precisions += ["fp8"] if tflops["fp8"] else []
    precisions += ["nvfp4"] if tflops["fp4"] else []
    whole = max((each["memory_slices"] for each in row["mig"]), default=8)
    slices = tuple(
        Slice(
            each["profile"],
            each["usable_mib"],
            each["compute_slices"] / max(part["compute_slices"] for part in row["mig"]),
            each["memory_slices"] / whole,
            each["instances"],
        )
        for each in row["mig"]
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
    """What of a GPU decides its speed. Decimal units."""

    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    fp4_tflops: float | None
    link_gb_s: float
    """To the other GPUs of its node, one direction."""
    nvlink: bool
