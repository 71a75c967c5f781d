"""The columns of CUR 2.0 and FOCUS, and the SQL that brings both into one form.

Sources, read on 2026-12-01: AWS Data Exports User Guide, "Cost and Usage Report (CUR) 2.0" (columns, types of lines,
tags, discounts) and "FOCUS 1.2 with AWS columns"; FOCUS 1.2, "Columns" (github.com/FinOps-Open-Cost-and-Usage-Spec/
FOCUS_Spec, tag v1.2). CUR 2.0 has tags of resources in `resource_tags`, or in the newer column `tags`, whose keys begin
with `resourceTags/` and which also has tags of accounts, users and cost categories ("Tags Column").
"""

# ruff: noqa: S608 — the SQL is made of the texts of this module, and nothing of a bill enters it.
from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from isthmus.core.errors import InputError
from isthmus.usage.bills.lines import BillFormat

_MONEY = "DECIMAL(38, 10)"
"""AWS writes costs with ten decimals. A cost in Parquet is a double, which this type rounds back to them."""
_FIELDS = (
    "period, day, charge, charge_type, corrects, account, product, usage_type, unit, description, resource, tags,"
    " currency"
)


@dataclass(frozen=True)
class Format:
    """A format of bills.

    `required`: columns that it must have, with the setting that adds them, if there is one. `optional`: columns that
    are read where they are. `names`: SQL of each field of a line. `charge`: SQL of the charge.
    """

    name: BillFormat
    required: dict[str, str]
    optional: tuple[str, ...]
    names: dict[str, str]
    charge: str


_RESOURCES = "Turn on `Include resource IDs` in the settings of the export"
CUR = Format(
    "CUR 2.0",
    {
        "bill_billing_period_start_date": "",
        "line_item_usage_start_date": "",
        "line_item_usage_end_date": "",
        "line_item_line_item_type": "",
        "line_item_usage_account_id": "",
        "line_item_product_code": "",
        "line_item_usage_type": "",
        "line_item_usage_amount": "",
        "line_item_unblended_cost": "",
        "line_item_currency_code": "",
        "line_item_resource_id": _RESOURCES,
        "pricing_unit": "",
    },
    ("line_item_net_unblended_cost", "line_item_line_item_description", "resource_tags", "tags"),
    {
        "period": "bill_billing_period_start_date",
        "start": "line_item_usage_start_date",
        "end": "line_item_usage_end_date",
        "charge_type": "line_item_line_item_type",
        "corrects": "false",
        "account": "line_item_usage_account_id",
        "product": "line_item_product_code",
        "usage_type": "line_item_usage_type",
        "unit": "pricing_unit",
        "description": "line_item_line_item_description",
        "resource": "line_item_resource_id",
        "tags": "resource_tags",
        "all_tags": "tags",
        "currency": "line_item_currency_code",
        "quantity": "line_item_usage_amount",
        "cost": "line_item_unblended_cost",
    },
    """CASE WHEN charge_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') THEN 'usage'
       WHEN charge_type LIKE '%Discount' OR charge_type = 'SavingsPlanNegation' THEN 'discount'
       WHEN charge_type = 'Credit' THEN 'credit' WHEN charge_type = 'Refund' THEN 'refund'
       WHEN charge_type = 'Tax' THEN 'tax' WHEN charge_type LIKE '%Fee' THEN 'fee' ELSE 'other' END""",
)
FOCUS = Format(
    "FOCUS",
    {
        "billedcost": "",
        "billingcurrency": "",
        "billingperiodstart": "",
        "chargecategory": "",
        "chargeclass": "",
        "chargeperiodstart": "",
        "chargeperiodend": "",
        "consumedquantity": "",
        "consumedunit": "",
        "resourceid": "Select it in the query of the export",
        "servicename": "",
    },
    ("subaccountid", "tags", "chargedescription", "x_usagetype", "x_servicecode", "skumeter"),
    {
        "period": "billingperiodstart",
        "start": "chargeperiodstart",
        "end": "chargeperiodend",
        "charge_type": "chargecategory",
        "corrects": "coalesce(chargeclass, '') = 'Correction'",
        "account": "subaccountid",
        "product": "coalesce(nullif(x_servicecode, ''), servicename)",
        "usage_type": "coalesce(nullif(x_usagetype, ''), skumeter)",
        "unit": "consumedunit",
        "description": "chargedescription",
        "resource": "resourceid",
        "tags": "tags",
        "all_tags": "NULL",
        "currency": "billingcurrency",
        "quantity": "consumedquantity",
        "cost": "billedcost",
    },
    """CASE charge_type WHEN 'Usage' THEN 'usage' WHEN 'Credit' THEN 'credit' WHEN 'Tax' THEN 'tax'
       WHEN 'Purchase' THEN 'fee' WHEN 'Adjustment' THEN 'adjustment' ELSE 'other' END""",
)


def recognise(columns: Collection[str], where: str) -> Format:
    """The format of a bill with these columns. Raises `InputError` if a column is missing or no format fits."""
    present = {column.lower() for column in columns}
    if any(column.lower().startswith("lineitem/") for column in columns):
        raise InputError(
            "this is a legacy Cost and Usage Report, but Isthmus reads CUR 2.0 and FOCUS",
            where=where,
            fix="Create an export of the table COST_AND_USAGE_REPORT in AWS Data Exports",
        )
    format = max((CUR, FOCUS), key=lambda known: len(present & known.required.keys()))
    if not present & format.required.keys():
        raise InputError(
            "the columns are those of neither CUR 2.0 nor FOCUS",
            where=where,
            fix="Give an export of AWS Data Exports: CUR 2.0, or FOCUS 1.2 with AWS columns",
        )
    missing = [column for column in format.required if column not in present]
    if missing:
        settings = [format.required[column] for column in missing if format.required[column]]
        raise InputError(
            f"the {format.name} bill lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            where=where,
            fix=settings[0] if settings else "Select these columns in the query of the export",
        )
    return format


def lines_query(format: Format, columns: Collection[str], *, net_discounts: bool) -> str:
    """SQL that sums up the table `bill` by the fields of `BillLine`.

    Args:
        format: the format of the bill.
        columns: the columns of the table, in lower case.
        net_discounts: whether the difference of net and gross cost is a discount of its own.
    """
    fields = {name: _with_nulls(sql, format, columns) for name, sql in format.names.items()}
    normal = f"""
        SELECT CAST({fields["period"]} AS DATE) AS period, CAST({fields["start"]} AS DATE) AS day,
               {_text(fields["charge_type"])} AS charge_type, {fields["corrects"]} AS corrects,
               {_text(fields["account"])} AS account, {_text(fields["product"])} AS product,
               {_text(fields["usage_type"])} AS usage_type, {_text(fields["unit"])} AS unit,
               CASE WHEN lower({_text(fields["unit"])}) = 'units' THEN {_text(fields["description"])} ELSE '' END
               AS description, {_text(fields["resource"])} AS resource,
               {_tags(fields["tags"], fields["all_tags"])} AS tags,
               {_text(fields["currency"])} AS currency, {_number(fields["quantity"])} AS quantity,
               {_number(fields["cost"])} AS cost,
               date_diff('hour', CAST({fields["start"]} AS TIMESTAMP), CAST({fields["end"]} AS TIMESTAMP)) AS hours,
               {_net(format, columns)} AS net
        FROM bill"""
    charged = f"SELECT *, {format.charge} AS charge FROM ({normal})"
    if net_discounts:
        discounts = (
            "SELECT * REPLACE ('discount' AS charge, 'net cost' AS charge_type, net - cost AS cost, 0 AS quantity)"
            " FROM charged WHERE charge = 'usage' AND net <> cost"
        )
        charged = f"WITH charged AS ({charged}) SELECT * FROM charged UNION ALL {discounts}"
    return (
        f"SELECT {_FIELDS}, sum(quantity) AS quantity, sum(cost) AS cost, max(hours) AS hours, count(*) AS lines"
        f" FROM ({charged}) GROUP BY {_FIELDS} ORDER BY ALL"
    )


def has_net_cost(format: Format, columns: Collection[str]) -> bool:
    """Whether the bill states each line's cost after discounts beside the cost before them."""
    return format is CUR and "line_item_net_unblended_cost" in columns


def _with_nulls(sql: str, format: Format, columns: Collection[str]) -> str:
    """Replace optional columns that the bill does not have."""
    for column in format.optional:
        if column not in columns:
            sql = re.sub(rf"\b{column}\b", "NULL", sql)
    return sql


def _text(sql: str) -> str:
    return f"coalesce(CAST({sql} AS VARCHAR), '')"


def _number(sql: str) -> str:
    return f"coalesce(CAST(nullif(CAST({sql} AS VARCHAR), '') AS {_MONEY}), 0)"


def _tags(*columns: str) -> str:
    """The maps of these columns as JSON, in a list."""
    maps = [
        f"coalesce(nullif(CAST(to_json({sql}) AS VARCHAR), ''), '{{}}')" for sql in columns if sql != "NULL"
    ]
    return " || ',' || ".join(maps).join(("'[' || ", " || ']'")) if maps else "'[]'"


def _net(format: Format, columns: Collection[str]) -> str:
    return _number("line_item_net_unblended_cost") if has_net_cost(format, columns) else "NULL"
