"""A simulated month: two million requests as sums by day, and AWS's bill for it.

The bill is written from AWS's documentation, without the code that reads it:

- Bedrock's usage types (`*-input-tokens`, `*-output-tokens`, `*-cache-read-input-token-count`,
  `*-cache-write-input-token-count`): "Understanding your Amazon Bedrock Cost and Usage Report data", Amazon Bedrock
  User Guide, read 2026-12-01. Amounts are in thousands of tokens: AWS Machine Learning Blog, "Amazon Bedrock cost
  attribution with Amazon Athena and CUDOS", 2026-08-12.
- Models sold through the Marketplace (`REGION-MP:REGION_InputTokenCount-Units`, unit `Units`, and a description that
  ends in `Million Input Tokens`): the AWS Price List of AmazonBedrockFoundationModels, read 2026-12-01.
- Columns and values of CUR 2.0, with tags as `user_` and the key in snake case: AWS Data Exports User Guide, "Cost and
  Usage Report (CUR) 2.0", read 2026-12-01.
- Columns of FOCUS 1.2: AWS Data Exports User Guide, "FOCUS 1.2 with AWS columns", read 2026-12-01.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from isthmus.contracts.reports.usage import UsageDay

YEAR, MONTH, DAYS = 2026, 11, 30
ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
PLATFORM = "bank"
TAGS_SINCE = 16
"""Day of the month from which the cost allocation tags are active. Tags are not retroactive."""
ARN = "arn:aws:bedrock:eu-central-1:{account}:application-inference-profile/{id}"
FOREIGN_PROFILE = ARN.format(account=ACCOUNT, id="zz9foreign01")
FOUNDATION_MODEL = "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0"
TEAMS = ("payments", "lending", "marketing", "legal", "service")


@dataclass(frozen=True)
class Profile:
    """An application inference profile: one workload and one endpoint, with the prices of its model."""

    id: str
    workload: str
    endpoint: str
    sensitivity: str
    model: str
    requests: int
    prompt: int
    completion: int
    cached_share: float
    prices: dict[str, Decimal]
    """USD for a million tokens, by `input`, `cache_read`, `cache_write` and `output`."""
    marketplace: bool = False
    usage_name: str = ""
    suffix: str = ""

    @property
    def arn(self) -> str:
        return ARN.format(account=ACCOUNT, id=self.id)

    def usage_type(self, kind: str) -> str:
        if self.marketplace:
            name = {
                "input": "InputTokenCount",
                "output": "OutputTokenCount",
                "cache_read": "CacheReadInputTokenCount",
                "cache_write": "CacheWriteInputTokenCount",
            }[kind]
            return f"EUC1-MP:EUC1_{name}-Units"
        name = {
            "input": "input-tokens",
            "output": "output-tokens",
            "cache_read": "cache-read-input-token-count",
            "cache_write": "cache-write-input-token-count",
        }[kind]
        return f"EUC1-{self.usage_name}-{name}{self.suffix}"

    def description(self, kind: str) -> str:
        words = kind.replace("_", " ").title()
        if self.marketplace:
            return f"AWS Marketplace software usage|eu-central-1|Million {words} Tokens Regional CRIS"
        return f"${self.prices[kind] / 1000:f} per 1K {words} tokens in EU (Frankfurt)"

    @property
    def unit(self) -> tuple[str, int]:
        return ("Units", 1_000_000) if self.marketplace else ("1K tokens", 1_000)


def _prices(input_: str, read: str, write: str, output: str) -> dict[str, Decimal]:
    return {
        "input": Decimal(input_),
        "cache_read": Decimal(read),
        "cache_write": Decimal(write),
        "output": Decimal(output),
    }


PROFILES = (
    Profile(
        "a1haiku00001", "policy-assistant", "internal-claude-haiku-4-5", "internal", "policy-model", 200_000,
        9_000, 600, 0.6, _prices("1.1", "0.11", "1.375", "5.5"), marketplace=True,
    ),
    Profile(
        "b2novalite02", "campaign-copy", "public-nova-lite", "public", "copy-model", 700_000,
        1_200, 1_000, 0.25, _prices("0.078", "0.0195", "0.078", "0.312"), usage_name="NovaLite",
        suffix="-cross-region-eu",
    ),
    Profile(
        "c3gptoss0003", "contract-review", "internal-gpt-oss-120b-1-0", "internal", "review-model", 300_000,
        3_500, 350, 0.0, _prices("0.2", "0.05", "0.2", "0.79"), usage_name="gpt-oss-120b",
    ),
)  # fmt: skip


@dataclass
class Month:
    """The sums by day, the lines of the bill, and what is true about them."""

    days: list[UsageDay]
    lines: list[dict[str, Any]]
    truth: dict[str, Decimal] = field(default_factory=dict)
    """Amount in USD of each sort of line, as the generator made them."""
    euros: Decimal = Decimal(0)
    """Amount of the lines in EUR."""
    tokens: dict[tuple[str, date, str], int] = field(default_factory=dict)
    """Tokens that AWS counted, by endpoint, day and kind (`input` with cache writes, `cached`, `output`)."""

    @property
    def total_usd(self) -> Decimal:
        return sum(self.truth.values(), Decimal(0))


def _weight(day: date) -> float:
    return 0.35 if day.weekday() >= 5 else 1.0


def _all_days() -> list[date]:
    return [date(YEAR, MONTH, 1) + timedelta(days=number) for number in range(DAYS)]


def _split(total: int, weights: list[float]) -> list[int]:
    shares = [int(total * weight / sum(weights)) for weight in weights]
    shares[0] += total - sum(shares)
    return shares


def make_month(seed: int = 28) -> Month:
    """Simulate the month. The same seed gives the same month."""
    rng = random.Random(seed)
    month = Month([], [])
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for profile in PROFILES:
        _bedrock(rng, profile, month, sums)
    _on_prem(rng, month)
    _reductions(rng, month, sums)
    _others(rng, month, sums)
    month.truth = dict(sums)
    rng.shuffle(month.lines)
    return month


def _bedrock(rng: random.Random, profile: Profile, month: Month, sums: dict[str, Decimal]) -> None:
    days = _all_days()
    for day, requests in zip(days, _split(profile.requests, [_weight(day) for day in days]), strict=True):
        teams = rng.sample(TEAMS, 3)
        counted = {"input": 0, "cache_read": 0, "cache_write": 0, "output": 0}
        for team, count in zip(teams, _split(requests, [3, 2, 1]), strict=True):
            prompt = int(count * profile.prompt * rng.uniform(0.97, 1.03))
            cached = int(prompt * profile.cached_share)
            completion = int(count * profile.completion * rng.uniform(0.97, 1.03))
            unfinished = count // 2_000
            price = profile.prices
            cost = (prompt - cached) * price["input"] + cached * price["cache_read"]
            cost = (cost + completion * price["output"]) / 1_000_000
            month.days.append(
                UsageDay(
                    day=day, sensitivity=profile.sensitivity, site="frankfurt", team=team,  # type: ignore[arg-type]
                    workload=profile.workload, model=profile.model, endpoint=profile.endpoint, requests=count,
                    failed=count // 500, unfinished=unfinished, prompt_tokens=prompt, cached_tokens=cached,
                    completion_tokens=completion, gpu_seconds=0.0, cost_usd=cost, unpriced=0,
                )
            )  # fmt: skip
            write = int((prompt - cached) * 0.04) if profile.cached_share else 0
            # AWS also counts what it answered to a gateway that was killed: the ledger does not know these tokens.
            extra = unfinished * profile.prompt
            counted["input"] += prompt - cached - write + extra
            counted["cache_read"] += cached
            counted["cache_write"] += write
            counted["output"] += completion + unfinished * profile.completion
        month.tokens[profile.endpoint, day, "input"] = counted["input"] + counted["cache_write"]
        month.tokens[profile.endpoint, day, "cached"] = counted["cache_read"]
        month.tokens[profile.endpoint, day, "output"] = counted["output"]
        for kind, tokens in counted.items():
            for start, part in _hours(rng, day, tokens):
                cost = (part * profile.prices[kind] / 1_000_000).quantize(Decimal("1e-10"))
                sums["profiles"] += cost
                month.lines.append(_usage_line(profile, kind, start, part, cost))


def _hours(rng: random.Random, day: date, tokens: int) -> Iterator[tuple[datetime, int]]:
    """Some days come as one line, some by the hour."""
    start = datetime(day.year, day.month, day.day)
    if tokens == 0:
        return
    if day.day % 3:
        yield start, tokens
        return
    for hour, part in enumerate(_split(tokens, [rng.uniform(0.2, 1.0) for _ in range(24)])):
        if part:
            yield start + timedelta(hours=hour), part


def _tags(profile: Profile) -> dict[str, str]:
    return {
        "user_isthmus_platform": PLATFORM,
        "user_isthmus_dev_workload": profile.workload,
        "user_isthmus_dev_class": profile.sensitivity,
    }


def _usage_line(profile: Profile, kind: str, start: datetime, tokens: int, cost: Decimal) -> dict[str, Any]:
    unit, size = profile.unit
    return _line(
        start,
        cost,
        line_item_product_code="6fjyx4vqm0example" if profile.marketplace else "AmazonBedrock",
        line_item_usage_type=profile.usage_type(kind),
        line_item_operation="InvokeModelInference" if not profile.marketplace else "Usage",
        line_item_resource_id=profile.arn,
        line_item_usage_amount=Decimal(tokens) / size,
        pricing_unit=unit,
        line_item_line_item_description=profile.description(kind),
        resource_tags=_tags(profile) if start.day >= TAGS_SINCE and start.month == MONTH else {},
    )


def _line(start: datetime, cost: Decimal, **columns: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "identity_line_item_id": "",
        "bill_billing_period_start_date": datetime(YEAR, MONTH, 1),
        "bill_billing_period_end_date": datetime(YEAR, MONTH + 1, 1),
        "bill_payer_account_id": ACCOUNT,
        "bill_invoice_id": "EUINDE26-900001",
        "line_item_usage_account_id": ACCOUNT,
        "line_item_line_item_type": "Usage",
        "line_item_usage_start_date": start,
        "line_item_usage_end_date": start + timedelta(hours=1),
        "line_item_product_code": "",
        "line_item_usage_type": "",
        "line_item_operation": "",
        "line_item_resource_id": "",
        "line_item_usage_amount": Decimal(0),
        "pricing_unit": "",
        "line_item_currency_code": "USD",
        "line_item_unblended_cost": cost,
        "line_item_line_item_description": "",
        "resource_tags": {},
    }
    return {**line, **columns}


def _on_prem(rng: random.Random, month: Month) -> None:
    days = _all_days()
    for day, requests in zip(days, _split(800_000, [_weight(day) for day in days]), strict=True):
        for team, count in zip(("payments", "lending"), _split(requests, [2, 1]), strict=True):
            gpu_seconds = round(count * 2.5 * rng.uniform(0.95, 1.05), 3)
            month.days.append(
                UsageDay(
                    day=day, sensitivity="restricted", site="fra1", team=team, workload="transaction-narratives",
                    model="narratives", endpoint="restricted-qwen3-32b", requests=count, failed=0, unfinished=0,
                    prompt_tokens=count * 900, cached_tokens=count * 300, completion_tokens=count * 200,
                    gpu_seconds=gpu_seconds, cost_usd=Decimal(str(gpu_seconds)) / 3600 * Decimal("1.37"), unpriced=0,
                )
            )  # fmt: skip


def _reductions(rng: random.Random, month: Month, sums: dict[str, Decimal]) -> None:
    """Discounts, a credit, a refund, tax and a fee."""
    for line in list(month.lines):
        if line["line_item_usage_start_date"].hour == 0 and line["line_item_product_code"] == "AmazonBedrock":
            cost = (line["line_item_unblended_cost"] * Decimal("-0.05")).quantize(Decimal("1e-10"))
            sums["discount"] += cost
            month.lines.append(
                {
                    **line,
                    "line_item_line_item_type": "EdpDiscount",
                    "line_item_unblended_cost": cost,
                    "line_item_usage_amount": Decimal(0),
                }
            )
    for type_, cost, columns in (
        ("Credit", "-250", {"line_item_line_item_description": "Promotional credit"}),
        ("Refund", "-12.34", {"line_item_resource_id": PROFILES[1].arn, "line_item_usage_type": "EUC1-NovaLite"}),
        ("Fee", "15", {"line_item_usage_type": "Dedicated support"}),
        ("BundledDiscount", "-3.3333333333", {"line_item_product_code": "awswaf"}),
        ("Tax", "173.19", {"line_item_product_code": "AmazonBedrock", "line_item_line_item_description": "VAT"}),
    ):  # fmt: skip
        sums[{"BundledDiscount": "discount"}.get(type_, type_.lower())] += Decimal(cost)
        day = datetime(YEAR, MONTH, rng.randint(1, DAYS))
        month.lines.append(_line(day, Decimal(cost), line_item_line_item_type=type_, **columns))


def _others(rng: random.Random, month: Month, sums: dict[str, Decimal]) -> None:
    """Late lines, lines of others in the account, the stack's other resources, another currency."""

    def add(sort: str, start: datetime, cost: str, **columns: Any) -> None:
        sums[sort] += Decimal(cost)
        month.lines.append(_line(start, Decimal(cost), **columns))

    late = PROFILES[1]
    for kind in ("input", "output"):
        cost = (250_000 * late.prices[kind] / 1_000_000).quantize(Decimal("1e-10"))
        sums["late"] += cost
        month.lines.append(_usage_line(late, kind, datetime(2026, 10, 31, 23), 250_000, cost))
    for day in _all_days():
        start = datetime(day.year, day.month, day.day)
        stack_tags = {"user_isthmus_platform": PLATFORM} if day.day >= TAGS_SINCE else {}
        add("stack", start, "0.5769230769", line_item_product_code="AmazonVPC", pricing_unit="Hrs",
            line_item_usage_type="EUC1-VpcEndpoint-Hours", line_item_usage_amount=Decimal(48),
            line_item_resource_id="arn:aws:ec2:eu-central-1:111122223333:vpc-endpoint/vpce-0a1b",
            resource_tags=stack_tags)  # fmt: skip
        add("foreign", start, str(round(rng.uniform(20, 40), 8)), line_item_product_code="AmazonEC2",
            line_item_usage_type="EUC1-BoxUsage:m7i.large", line_item_usage_amount=Decimal(24),
            pricing_unit="Hrs", line_item_resource_id="i-0abc", line_item_usage_account_id=OTHER_ACCOUNT)  # fmt: skip
        add("bedrock of others", start, "1.2345678901", line_item_product_code="AmazonBedrock",
            line_item_usage_type="EUC1-NovaLite-input-tokens", line_item_usage_amount=Decimal("15827.8"),
            pricing_unit="1K tokens", line_item_resource_id=FOREIGN_PROFILE)  # fmt: skip
    add("bedrock of others", datetime(YEAR, MONTH, 12), "7.7", line_item_product_code="AmazonBedrock",
        line_item_usage_type="EUC1-NovaLite-output-tokens", line_item_usage_amount=Decimal("24679.5"),
        pricing_unit="1K tokens", line_item_resource_id=FOUNDATION_MODEL)  # fmt: skip
    add("not understood", datetime(YEAR, MONTH, 20), "0.42", line_item_product_code="AmazonBedrock",
        line_item_usage_type="EUC1-NovaLite-input-image-count", line_item_usage_amount=Decimal(7),
        pricing_unit="image", line_item_resource_id=PROFILES[1].arn)  # fmt: skip
    month.euros = Decimal("88.80")
    month.lines.append(
        _line(
            datetime(YEAR, MONTH, 3),
            month.euros,
            line_item_product_code="2xmarketplaceseller",
            line_item_currency_code="EUR",
            line_item_usage_type="MP:monthly-subscription",
            line_item_usage_amount=Decimal(1),
            pricing_unit="Units",
        )
    )


def write_cur(month: Month, folder: Path, *, form: str) -> Path:
    """Write the bill as CUR 2.0: `form` is `parquet`, `csv` or `csv.gz`. Returns the file."""
    return _write(month.lines, folder / f"bank-cur2-00001.{form}", form, {"resource_tags"})


def write_cur_with_all_tags(month: Month, folder: Path, *, form: str, beside: bool) -> Path:
    """The bill as CUR 2.0 with the column `tags`, which has tags of accounts and cost categories, too.

    `beside`: the column `resource_tags` is there as well.
    """
    others = {"accountTag/isthmus-platform": "other", "costCategory/isthmus-platform": "other"}
    lines = []
    for line in month.lines:
        own = {f"resourceTags/{key}": value for key, value in line["resource_tags"].items()}
        kept = line if beside else {key: value for key, value in line.items() if key != "resource_tags"}
        lines.append({**kept, "tags": {**own, **others}})
    maps = {"resource_tags", "tags"} if beside else {"tags"}
    return _write(lines, folder / f"bank-cur2-tags-{beside}.{form}", form, maps)


def write_focus(month: Month, folder: Path, *, form: str) -> Path:
    """Write the same bill as FOCUS 1.2 with AWS's columns. Returns the file."""
    return _write([_focus(line) for line in month.lines], folder / f"bank-focus-00001.{form}", form, {"Tags"})


def _focus(line: dict[str, Any]) -> dict[str, Any]:
    type_ = line["line_item_line_item_type"]
    usage = type_ == "Usage"
    category = {"Usage": "Usage", "Credit": "Credit", "Tax": "Tax", "Fee": "Purchase"}.get(
        type_, "Adjustment"
    )
    tags = {key.removeprefix("user_"): value for key, value in line["resource_tags"].items()}
    names = {
        "isthmus_platform": "isthmus-platform",
        "isthmus_dev_workload": "isthmus.dev/workload",
        "isthmus_dev_class": "isthmus.dev/class",
    }
    return {
        "BilledCost": line["line_item_unblended_cost"],
        "BillingAccountId": line["bill_payer_account_id"],
        "BillingCurrency": line["line_item_currency_code"],
        "BillingPeriodStart": line["bill_billing_period_start_date"],
        "BillingPeriodEnd": line["bill_billing_period_end_date"],
        "ChargeCategory": category,
        "ChargeClass": None,
        "ChargeDescription": line["line_item_line_item_description"],
        "ChargePeriodStart": line["line_item_usage_start_date"],
        "ChargePeriodEnd": line["line_item_usage_end_date"],
        "ConsumedQuantity": line["line_item_usage_amount"] if usage else None,
        "ConsumedUnit": line["pricing_unit"] if usage else None,
        "PricingQuantity": line["line_item_usage_amount"] if usage else None,
        "PricingUnit": line["pricing_unit"] if usage else None,
        "EffectiveCost": line["line_item_unblended_cost"],
        "ListCost": line["line_item_unblended_cost"],
        "ResourceId": line["line_item_resource_id"] or None,
        "ServiceName": line["line_item_product_code"],
        "SkuMeter": line["line_item_usage_type"] or None,
        "SubAccountId": line["line_item_usage_account_id"],
        "Tags": {names[key]: value for key, value in tags.items()},
        "x_ServiceCode": line["line_item_product_code"],
        "x_UsageType": line["line_item_usage_type"],
    }


def _write(rows: list[dict[str, Any]], file: Path, form: str, maps: set[str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        _write_parquet(rows, file, maps)
        return file
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    data = text.getvalue().encode()
    file.write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    return file


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _write_parquet(rows: list[dict[str, Any]], file: Path, maps: set[str]) -> None:
    """AWS writes costs and amounts as doubles, times as timestamps, and tags as maps."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name in maps:
            columns[name] = pa.array(
                [list(value.items()) for value in values], pa.map_(pa.string(), pa.string())
            )
        elif any(isinstance(value, Decimal) for value in values):
            columns[name] = pa.array(
                [None if value is None else float(value) for value in values], pa.float64()
            )
        elif any(isinstance(value, datetime) for value in values):
            columns[name] = pa.array(values, pa.timestamp("ms"))
        else:
            columns[name] = pa.array(values, pa.string())
    pq.write_table(pa.table(columns), file)
