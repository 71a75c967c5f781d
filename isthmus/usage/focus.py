"""Usage as charges of FOCUS 1.2, for the finance team's own tools: CSV and Parquet.

Each column follows the text of FOCUS 1.2 (github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, tag v1.2, read on
2026-12-01). The platform is the provider: it charges the organisation's teams for what they used.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.reports.usage import UsageDay
from isthmus.contracts.vocabulary import ON_PREM_TARGETS
from isthmus.usage.duckdb_package import import_duckdb
from isthmus.usage.prices import MILLION, TokenPrice, Use, token_prices

ColumnType = Literal["text", "decimal", "time", "json"]
COLUMNS: dict[str, ColumnType] = {
    "AvailabilityZone": "text",
    "BilledCost": "decimal",
    "BillingAccountId": "text",
    "BillingAccountName": "text",
    "BillingAccountType": "text",
    "BillingCurrency": "text",
    "BillingPeriodEnd": "time",
    "BillingPeriodStart": "time",
    "CapacityReservationId": "text",
    "CapacityReservationStatus": "text",
    "ChargeCategory": "text",
    "ChargeClass": "text",
    "ChargeDescription": "text",
    "ChargeFrequency": "text",
    "ChargePeriodEnd": "time",
    "ChargePeriodStart": "time",
    "CommitmentDiscountCategory": "text",
    "CommitmentDiscountId": "text",
    "CommitmentDiscountName": "text",
    "CommitmentDiscountQuantity": "decimal",
    "CommitmentDiscountStatus": "text",
    "CommitmentDiscountType": "text",
    "CommitmentDiscountUnit": "text",
    "ConsumedQuantity": "decimal",
    "ConsumedUnit": "text",
    "ContractedCost": "decimal",
    "ContractedUnitPrice": "decimal",
    "EffectiveCost": "decimal",
    "InvoiceId": "text",
    "InvoiceIssuerName": "text",
    "ListCost": "decimal",
    "ListUnitPrice": "decimal",
    "PricingCategory": "text",
    "PricingCurrency": "text",
    "PricingCurrencyContractedUnitPrice": "decimal",
    "PricingCurrencyEffectiveCost": "decimal",
    "PricingCurrencyListUnitPrice": "decimal",
    "PricingQuantity": "decimal",
    "PricingUnit": "text",
    "ProviderName": "text",
    "PublisherName": "text",
    "RegionId": "text",
    "RegionName": "text",
    "ResourceId": "text",
    "ResourceName": "text",
    "ResourceType": "text",
    "ServiceCategory": "text",
    "ServiceName": "text",
    "ServiceSubcategory": "text",
    "SkuId": "text",
    "SkuMeter": "text",
    "SkuPriceDetails": "json",
    "SkuPriceId": "text",
    "SubAccountId": "text",
    "SubAccountName": "text",
    "SubAccountType": "text",
    "Tags": "json",
    "x_Requests": "decimal",
    "x_UnpricedRequests": "decimal",
}
"""All columns of FOCUS 1.2 in its order, and two of our own. Those of discounts and reservations stay empty."""
_TYPES = {"text": "VARCHAR", "json": "VARCHAR", "decimal": "DECIMAL(38, 15)", "time": "TIMESTAMP"}
_PRICE, _QUANTITY = Decimal("1e-9"), Decimal("1e-6")
"""Places of unit prices and quantities. Their product has 15 places and is the exact cost."""
_CLOSE = Decimal("0.000001")
_SECONDS_OF_AN_HOUR = 3600


@dataclass(frozen=True)
class Charged:
    """Who charges for what. `provider`: name of the platform; `account`: the stack."""

    provider: str
    account: str


@dataclass(frozen=True)
class _Meter:
    """A measured quantity with its price."""

    name: str
    consumed: Decimal
    consumed_unit: str
    quantity: Decimal
    unit: str
    price: Decimal

    @property
    def cost(self) -> Decimal:
        return self.quantity * self.price


def charges(days: Iterable[UsageDay], plan: Plan, charged: Charged) -> list[dict[str, Any]]:
    """The rows of a FOCUS dataset, one for each meter of each sum by day. People are left out.

    Args:
        days: sums of the ledger. Sums without tokens, GPU time and cost have no row.
        plan: the stack's plan, whose prices the tokens have.
        charged: who charges for what.

    A row costs what the ledger says, to a millionth of a dollar. Where the plan's prices of prompts and answers explain
    that cost, each has a row, and cached tokens too; otherwise all tokens have one row with the mean price.
    """
    endpoints = {endpoint.id: endpoint for endpoint in plan.endpoints}
    prices = token_prices(plan)
    rows = []
    for day in _without_people(days):
        endpoint = endpoints.get(day.endpoint or "")
        meters = _meters(day, endpoint, prices.get(Use(day.endpoint or "", day.workload)))
        for number, meter in enumerate(meters):
            rows.append(_row(day, endpoint, meter, charged, is_first=number == 0))
    return rows


def _without_people(days: Iterable[UsageDay]) -> list[UsageDay]:
    """Sums by day of all people together."""
    names = ("day", "sensitivity", "site", "team", "workload", "model", "endpoint")
    sums = ("requests", "failed", "unfinished", "prompt_tokens", "cached_tokens", "completion_tokens")
    sums += ("gpu_seconds", "cost_usd", "unpriced", "full_price_cached_tokens")
    together: dict[tuple[Any, ...], UsageDay] = {}
    for day in days:
        key = tuple(getattr(day, name) for name in names)
        known = together.get(key)
        if known is None:
            together[key] = day
        else:
            update = {name: getattr(known, name) + getattr(day, name) for name in sums}
            together[key] = day.model_copy(update=update)
    return [together[key] for key in sorted(together, key=lambda key: tuple(str(part or "") for part in key))]


def _meters(day: UsageDay, endpoint: PlannedEndpoint | None, price: TokenPrice | None) -> list[_Meter]:
    if (endpoint is not None and endpoint.target in ON_PREM_TARGETS) or (
        not day.prompt_tokens and day.gpu_seconds
    ):
        hours = (Decimal(str(day.gpu_seconds)) / _SECONDS_OF_AN_HOUR).quantize(_QUANTITY)
        return _priced("GPU time", hours, "GPU Hours", hours, "GPU Hours", day.cost_usd)
    prompt, completion = Decimal(day.prompt_tokens), Decimal(day.completion_tokens)
    if price is not None:
        cached = (
            Decimal(day.cached_tokens - day.full_price_cached_tokens)
            if price.cached is not None
            else Decimal(0)
        )
        if abs(price.cost(prompt, cached, completion) / MILLION - day.cost_usd) <= _CLOSE:
            parts = (
                ("Input tokens", prompt - cached, price.prompt),
                ("Cached input tokens", cached, price.cached or Decimal(0)),
                ("Output tokens", completion, price.completion),
            )
            return [
                _Meter(name, tokens, "Tokens", tokens / MILLION, "1000000 Tokens", usd)
                for name, tokens, usd in parts
                if tokens
            ]
    tokens = prompt + completion
    return _priced("Tokens", tokens, "Tokens", tokens / MILLION, "1000000 Tokens", day.cost_usd)


def _priced(
    name: str, consumed: Decimal, consumed_unit: str, quantity: Decimal, unit: str, cost: Decimal
) -> list[_Meter]:
    """One meter at the mean price. None, if nothing was measured."""
    if not quantity:
        return []
    return [_Meter(name, consumed, consumed_unit, quantity, unit, (cost / quantity).quantize(_PRICE))]


def _row(
    day: UsageDay, endpoint: PlannedEndpoint | None, meter: _Meter, charged: Charged, *, is_first: bool
) -> dict[str, Any]:
    begin = _midnight(day.day)
    month = begin.replace(day=1)
    region = (endpoint.region if endpoint else None) or day.site
    sku = f"{day.endpoint or day.model}/{meter.name.lower().replace(' ', '-')}"
    is_own = endpoint is None or endpoint.target in ON_PREM_TARGETS
    cost = meter.cost
    return {
        "BilledCost": cost,
        "BillingAccountId": charged.account,
        "BillingAccountName": charged.account,
        "BillingAccountType": "Stack",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": (month + timedelta(days=32)).replace(day=1),
        "BillingPeriodStart": month,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{meter.name} of {day.workload} at {day.endpoint or day.model}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": begin + timedelta(days=1),
        "ChargePeriodStart": begin,
        "ConsumedQuantity": meter.consumed,
        "ConsumedUnit": meter.consumed_unit,
        "ContractedCost": cost,
        "ContractedUnitPrice": meter.price,
        "EffectiveCost": cost,
        "InvoiceIssuerName": charged.provider,
        "ListCost": cost,
        "ListUnitPrice": meter.price,
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": meter.price,
        "PricingCurrencyEffectiveCost": cost,
        "PricingCurrencyListUnitPrice": meter.price,
        "PricingQuantity": meter.quantity,
        "PricingUnit": meter.unit,
        "ProviderName": charged.provider,
        "PublisherName": charged.provider if is_own else "AWS",
        "RegionId": region,
        "RegionName": day.site,
        "ResourceId": f"{charged.account}/{day.endpoint or day.model}",
        "ResourceName": (endpoint.model if endpoint else day.model) or None,
        "ResourceType": "Model endpoint",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "LLM inference",
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": meter.name,
        "SkuPriceId": f"{sku}/{meter.price.normalize():f}",
        "SubAccountId": day.team or None,
        "SubAccountName": day.team or None,
        "SubAccountType": "Team" if day.team else None,
        "Tags": json.dumps({"workload": day.workload, "class": day.sensitivity, "model": day.model}),
        # The requests of a sum stand in its first row alone, so that they can be added up.
        "x_Requests": Decimal(day.requests if is_first else 0),
        "x_UnpricedRequests": Decimal(day.unpriced if is_first else 0),
    }


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(rows))
    return text.getvalue()


def _cells(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_cell(row.get(name), type_) for name, type_ in COLUMNS.items()]


def _cell(value: Any, type_: ColumnType) -> str:
    if value is None:
        return ""
    if type_ == "time":
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return format(value, "f") if type_ == "decimal" else str(value)


def write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as Parquet, with exact decimals and times in UTC. Raises `EnvironmentFault` without DuckDB."""
    duckdb = import_duckdb("Parquet is written with DuckDB", "--output")
    types = {name: _TYPES[type_] for name, type_ in COLUMNS.items()}
    with (
        tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as file,
        duckdb.connect(":memory:", config={"autoload_known_extensions": False}) as connection,
    ):
        file.write(csv_text(rows))
        file.flush()
        connection.read_csv(file.name, header=True, dtype=types).write_parquet(str(path))
