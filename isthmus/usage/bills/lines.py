"""The lines of a bill, in one form for CUR 2.0 and FOCUS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

Charge = Literal["usage", "discount", "credit", "refund", "adjustment", "tax", "fee", "other"]
"""What a line charges for. `adjustment`: FOCUS has one category for refunds and corrections. `other`: a type that
Isthmus does not know."""
BillFormat = Literal["CUR 2.0", "FOCUS"]
DiscountForm = Literal["lines", "net cost", "in the cost"]
"""Where a bill has its discounts: in lines of their own, as the difference of net and gross cost (CUR 2.0), or only in
the cost of each line (FOCUS)."""


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """The sum of the lines of a bill that agree in all names and in the day."""

    period: date
    """First day of the billing period."""
    day: date
    """Day of the usage (UTC)."""
    charge: Charge
    charge_type: str
    """The type as the bill writes it, e.g. `EdpDiscount`."""
    corrects: bool
    """Whether it corrects an earlier billing period (FOCUS: `ChargeClass`)."""
    account: str
    product: str
    usage_type: str
    unit: str
    description: str
    """Only of lines whose unit is `Units`: their description says how many tokens one is."""
    resource: str
    """Id of the resource. Empty: the line has none."""
    tags: Mapping[str, str]
    """Active cost allocation tags. Keys are in the form of `tag_key`."""
    currency: str
    quantity: Decimal
    cost: Decimal
    """With ten decimals, as AWS writes it."""
    hours: int
    """Longest time that one of its lines covers."""
    lines: int
    """Lines of the bill that it sums up."""


@dataclass(frozen=True)
class Bill:
    """A bill, or what was selected of it."""

    format: BillFormat
    discounts: DiscountForm
    files: tuple[str, ...]
    lines: tuple[BillLine, ...]


def tag_key(key: str) -> str:
    """One form for the keys of tags: lower case, `_` for special characters, without the prefix of user tags.

    CUR 2.0 writes `isthmus.dev/workload` as `user_isthmus_dev_workload`, in its column `tags` with the prefix
    `resourceTags/`, and FOCUS as it is. Prefixes of other things than resources stay, so that they are other keys.
    """
    plain = "".join(character if character.isalnum() else "_" for character in key.lower())
    return plain.removeprefix("resourcetags_").removeprefix("user_")
