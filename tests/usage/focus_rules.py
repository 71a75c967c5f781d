"""The column rules of FOCUS 1.2, written from the text of the specification (tag v1.2, `specification/columns`).

Feature level, type, nullability and allowed values are those of each column's `Content constraints`; the conditions are
those of its requirements.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

M, C, R = "Mandatory", "Conditional", "Recommended"
RULES: dict[str, tuple[str, bool, str, tuple[str, ...]]] = {
    # column: feature level, allows nulls, data type, allowed values
    "AvailabilityZone": (R, True, "String", ()),
    "BilledCost": (M, False, "Decimal", ()),
    "BillingAccountId": (M, False, "String", ()),
    "BillingAccountName": (M, True, "String", ()),
    "BillingAccountType": (C, False, "String", ()),
    "BillingCurrency": (M, False, "Currency", ()),
    "BillingPeriodEnd": (M, False, "Date/Time", ()),
    "BillingPeriodStart": (M, False, "Date/Time", ()),
    "CapacityReservationId": (C, True, "String", ()),
    "CapacityReservationStatus": (C, True, "String", ("Used", "Unused")),
    "ChargeCategory": (M, False, "String", ("Usage", "Purchase", "Tax", "Credit", "Adjustment")),
    "ChargeClass": (M, True, "String", ("Correction",)),
    "ChargeDescription": (M, True, "String", ()),
    "ChargeFrequency": (R, False, "String", ("One-Time", "Recurring", "Usage-Based")),
    "ChargePeriodEnd": (M, False, "Date/Time", ()),
    "ChargePeriodStart": (M, False, "Date/Time", ()),
    "CommitmentDiscountCategory": (C, True, "String", ("Spend", "Usage")),
    "CommitmentDiscountId": (C, True, "String", ()),
    "CommitmentDiscountName": (C, True, "String", ()),
    "CommitmentDiscountQuantity": (C, True, "Decimal", ()),
    "CommitmentDiscountStatus": (C, True, "String", ("Used", "Unused")),
    "CommitmentDiscountType": (C, True, "String", ()),
    "CommitmentDiscountUnit": (C, True, "String", ()),
    "ConsumedQuantity": (C, True, "Decimal", ()),
    "ConsumedUnit": (C, True, "String", ()),
    "ContractedCost": (M, False, "Decimal", ()),
    "ContractedUnitPrice": (C, True, "Decimal", ()),
    "EffectiveCost": (M, False, "Decimal", ()),
    "InvoiceId": (R, True, "String", ()),
    "InvoiceIssuerName": (M, False, "String", ()),
    "ListCost": (M, False, "Decimal", ()),
    "ListUnitPrice": (C, True, "Decimal", ()),
    "PricingCategory": (C, True, "String", ("Standard", "Dynamic", "Committed", "Other")),
    "PricingCurrency": (C, True, "Currency", ()),
    "PricingCurrencyContractedUnitPrice": (C, True, "Decimal", ()),
    "PricingCurrencyEffectiveCost": (C, True, "Decimal", ()),
    "PricingCurrencyListUnitPrice": (C, True, "Decimal", ()),
    "PricingQuantity": (M, True, "Decimal", ()),
    "PricingUnit": (M, True, "String", ()),
    "ProviderName": (M, False, "String", ()),
    "PublisherName": (M, False, "String", ()),
    "RegionId": (C, True, "String", ()),
    "RegionName": (C, True, "String", ()),
    "ResourceId": (C, True, "String", ()),
    "ResourceName": (C, True, "String", ()),
    "ResourceType": (C, True, "String", ()),
    "ServiceCategory": (M, False, "String", ("AI and Machine Learning",)),
    "ServiceName": (M, False, "String", ()),
    "ServiceSubcategory": (R, False, "String", ("Generative AI",)),
    "SkuId": (C, True, "String", ()),
    "SkuMeter": (C, True, "String", ()),
    "SkuPriceDetails": (C, True, "JSON", ()),
    "SkuPriceId": (C, True, "String", ()),
    "SubAccountId": (C, True, "String", ()),
    "SubAccountName": (C, True, "String", ()),
    "SubAccountType": (C, True, "String", ()),
    "Tags": (C, True, "JSON", ()),
}
"""Of service categories and subcategories only the pair that fits is allowed here."""
_FORMS = {
    "Decimal": re.compile(r"-?\d+(\.\d+)?(E-?\d+)?"),
    "Date/Time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "Currency": re.compile(r"[A-Z]{3}"),
    "String": re.compile(r"\S(.*\S)?"),
}
_PAIRS = (  # null together
    ("ConsumedQuantity", "ConsumedUnit"),
    ("PricingQuantity", "PricingUnit"),
    ("RegionId", "RegionName"),
    ("ResourceId", "ResourceType"),
    ("SubAccountId", "SubAccountName"),
    ("SubAccountId", "SubAccountType"),
    ("BillingAccountId", "BillingAccountType"),
    ("CommitmentDiscountId", "CommitmentDiscountCategory"),
    ("CommitmentDiscountId", "CommitmentDiscountType"),
    ("CommitmentDiscountQuantity", "CommitmentDiscountUnit"),
)
_OF_USAGE = (  # not null for usage that corrects nothing
    *("ConsumedQuantity", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice", "SkuId", "SkuPriceId"),
)
_PRODUCTS = (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice"))


def violations(row: Mapping[str, str]) -> list[str]:
    """What a row of a CSV file breaks. An empty cell is null."""
    found = [
        f"{name}: {problem}"
        for name, rule in RULES.items()
        if (problem := _cell_problem(row.get(name), rule))
    ]
    found += [f"{name} is not of FOCUS and does not begin with x_" for name in row if not _is_allowed(name)]
    found += [
        f"{one} and {other} are not null together"
        for one, other in _PAIRS
        if bool(row[one]) != bool(row[other])
    ]
    if row["ChargeCategory"] == "Usage" and not row["ChargeClass"]:
        found += [f"{name} is null for usage" for name in _OF_USAGE if not row[name]]
    for cost, price in _PRODUCTS:
        if row[price] and row["PricingQuantity"]:
            product = Decimal(row[price]) * Decimal(row["PricingQuantity"])
            found += [f"{cost} is not {price} × PricingQuantity"] if product != Decimal(row[cost]) else []
            found += [f"{price} is negative"] if Decimal(row[price]) < 0 else []
    for begin, end in (("BillingPeriodStart", "BillingPeriodEnd"), ("ChargePeriodStart", "ChargePeriodEnd")):
        found += [f"{end} is not after {begin}"] if _time(row[end]) <= _time(row[begin]) else []
    if row["ResourceName"] and row["ResourceName"] == row["ResourceId"]:
        found.append("ResourceName repeats ResourceId")
    return found


def _is_allowed(name: str) -> bool:
    return name in RULES or name.startswith("x_")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _cell_problem(cell: str | None, rule: tuple[str, bool, str, tuple[str, ...]]) -> str:
    level, nullable, type_, allowed = rule
    if cell is None:
        return "is missing" if level == M else ""
    if not cell:
        return "" if nullable else "is null"
    if allowed and cell not in allowed:
        return f"`{cell}` is not allowed"
    if type_ == "JSON":
        return "" if _is_flat_object(cell) else "is no object of plain values"
    return "" if _FORMS[type_].fullmatch(cell) else f"`{cell}` is no {type_}"


def _is_flat_object(cell: str) -> bool:
    value = json.loads(cell)
    return isinstance(value, dict) and not any(isinstance(entry, dict | list) for entry in value.values())
