"""Assumptions of a comparison: figures that nobody measured or stated, each with its reason and its option."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from isthmus.contracts.reports.comparison import Assumption
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

GRID = "grid."


@dataclass(frozen=True)
class Assumptions:
    """The assumptions. Shares are 0 to 1."""

    years: int = 3
    growth: float | None = None
    """Growth of traffic a month; None: as each workload states it (`growth_pct_month`)."""
    price_decline: float = 0.10
    """Yearly decline of prices of tokens, instances, and nodes that are bought later."""
    reserved_discount: float = 0.35
    """Discount of an instance reserved for a year, where no price is stated."""
    server_power: float = 1.82
    """Power of a node in AWS, as a multiple of the power of its GPUs."""
    aws_pue: float = 1.14
    idle_power: float = 0.30
    """Power of an idle GPU of a pool, as a share of its power in use."""
    api_energy: float | None = None
    """Wh for a thousand tokens of an API; None: not known."""
    driver_range: float = 0.20
    """By how much drivers of the cost are varied, down and up."""
    grid: Mapping[str, float] = field(default_factory=dict)
    """By site, g CO2e a kWh, in place of the country's average."""


@dataclass(frozen=True)
class _Setting:
    """How an assumption is written with `--assume`."""

    field: str
    unit: str
    low: float
    high: float
    percent: bool
    why: str


_SETTINGS: Mapping[str, _Setting] = {
    "years": _Setting("years", "years", 1, 10, False, "the usual horizon of a hardware budget"),
    "growth": _Setting(
        "growth",
        "% a month, all workloads",
        -50,
        50,
        True,
        "`growth_pct_month` of each workload, 0 if not stated",
    ),
    "price-decline": _Setting(
        "price_decline",
        "% a year, of tokens, instances and nodes bought later",
        -50,
        90,
        True,
        "an assumption between the published changes of H100 instances: AWS -44 % in June 2025 (compux.net, 2026) and "
        "a flat index of May 2026 (aimultiple.com/gpu-index)",
    ),
    "reserved-discount": _Setting(
        "reserved_discount",
        "% below on demand, for a year",
        0,
        90,
        True,
        "35 to 40 % is reported for H100 instances (digiterialabs.com, Q1 2026); a price in `sites[].prices` under "
        "`TYPE/reserved-12` takes precedence",
    ),
    "server-power": _Setting(
        "server_power",
        "times the power of the GPUs, for instances",
        1,
        4,
        False,
        "a node of 8 H100 draws 10.2 kW, its GPUs 5.6 kW (data sheet of NVIDIA DGX H100)",
    ),
    "aws-pue": _Setting(
        "aws_pue",
        "power usage effectiveness of AWS",
        1,
        3,
        False,
        "global average of 2025 (sustainability.aboutamazon.com/environment/the-cloud)",
    ),
    "idle-power": _Setting(
        "idle_power", "% of the power in use, for idle GPUs that you own", 0, 100, True, "an assumption"
    ),
    "api-energy": _Setting(
        "api_energy",
        "Wh for a thousand tokens of an API",
        0,
        1000,
        False,
        "not known: AWS publishes none for Bedrock",
    ),
    "driver-range": _Setting(
        "driver_range", "% down and up", 1, 90, True, "an assumption, the same for all drivers"
    ),
}


def parse_assumptions(texts: Sequence[str], requirements: Sequence[Requirements]) -> Assumptions:
    """Return the assumptions with the changes of `NAME=VALUE` texts. Raises `InputError`.

    `requirements`: those whose sites `grid.SITE` may name.
    """
    assumptions, grid = Assumptions(), dict[str, float]()
    sites = sorted({site.name for each in requirements for site in each.sites})
    names = [*_SETTINGS, *(f"{GRID}{site}" for site in sites)]
    for text in texts:
        name, _, value = text.partition("=")
        if name not in names:
            from isthmus.core.validation_errors import did_you_mean

            raise InputError(
                f"`{name}` is not an assumption",
                where="--assume",
                fix=f"{did_you_mean(name, names)} Choose one of: {', '.join(names)}".strip(),
            )
        if name.startswith(GRID):
            grid[name.removeprefix(GRID)] = _number(text, value, 0, 3000, "g CO2e a kWh")
            continue
        setting = _SETTINGS[name]
        number = _number(text, value, setting.low, setting.high, setting.unit)
        if setting.field == "years" and number != int(number):
            raise InputError(
                f"`{text}` is not a whole number of years", where="--assume", fix="Write `years=3`"
            )
        shown: float = (
            int(number) if setting.field == "years" else number / 100 if setting.percent else number
        )
        assumptions = replace(assumptions, **{setting.field: shown})
    return replace(assumptions, grid=grid)


def _number(text: str, value: str, low: float, high: float, unit: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise InputError(
            f"`{text}` is not valid: expected a number from {low:g} to {high:g} ({unit})",
            where="--assume",
            fix=f"Write it like `{text.partition('=')[0]}={(low + high) / 2:g}`",
        )
    return number


def list_assumptions(assumptions: Assumptions) -> list[Assumption]:
    """Return every assumption with its value, its reason and its option."""
    defaults = Assumptions()
    listed = []
    for name, setting in _SETTINGS.items():
        value = getattr(assumptions, setting.field)
        number = "" if value is None else f"{value * 100 if setting.percent else value:g} "
        if value is None:
            shown = "as the requirements state it" if name == "growth" else "not known"
        else:
            shown = f"{number}{setting.unit}"
        why = setting.why if value == getattr(defaults, setting.field) else "given by --assume"
        listed.append(Assumption(name=name, value=shown, why=why, option=f"--assume {name}=…"))
    for site, factor in assumptions.grid.items():
        listed.append(
            Assumption(
                name=f"{GRID}{site}",
                value=f"{factor:g} g CO2e a kWh",
                why="given by --assume",
                option=f"--assume {GRID}{site}=…",
            )
        )
    return listed
