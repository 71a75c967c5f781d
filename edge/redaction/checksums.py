"""Whether a number is one that its issuer could have given. python-stdnum knows most; the rest is written here."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache, partial

Check = Callable[[str], bool]


def stdnum(module: str) -> Check:
    """The check of a module of python-stdnum, imported when it is first asked."""

    def check(number: str) -> bool:
        return _of(module)(number)

    return check


@cache
def _of(module: str, **options: bool) -> Check:
    return partial(importlib.import_module(f"stdnum.{module}").is_valid, **options)


def digits(text: str) -> str:
    """The digits alone."""
    return "".join(each for each in text if each.isascii() and each.isdigit())


def compact(text: str) -> str:
    """Letters and digits alone, in upper case."""
    return "".join(each for each in text if each.isascii() and each.isalnum()).upper()


def iban(text: str) -> bool:
    """ISO 13616: the country's structure, and the remainder of 97."""
    return _of("iban", check_country=False)(compact(text))


def card(text: str) -> bool:
    """Luhn, of a network and a length that it has, and grouped as people group it."""
    number = digits(text)
    lengths = next((lengths for start, lengths in _CARD_LENGTHS if start.match(number)), ())
    if len(number) not in lengths or len(set(number)) == 1 or not _of("luhn")(number):
        return False
    # Networks with many lengths: in any grouping some part of a row of numbers would pass for a card.
    return grouped(text, strictly=len(lengths) > 3 and len(number) != 16)


_CARD_LENGTHS = tuple(
    (re.compile(start), lengths)
    for start, lengths in (
        ("3[47]", (15,)),
        ("2131|1800", (15,)),
        ("3", (14, 16, 17, 18, 19)),
        ("4", (13, 16, 19)),
        ("50(?:18|20|38)|5[678]|0604|6304|6390|6759|676[123]", (12, 13, 14, 15, 16, 17, 18, 19)),
        ("5", (16,)),
        ("2", (16,)),
        ("6", (16, 17, 18, 19)),
    )
)
"""By first digits: American Express, JCB of 15 digits, Diners and JCB, Visa, Maestro, Mastercard, Mir and Mastercard,
Discover and UnionPay."""
_PLAIN_GAPS = frozenset(("", " ", "-"))
_ODD_GROUPS = frozenset(((4, 6, 5), (4, 6, 4), (6, 13), (4, 5, 6), (8, 11)))
"""American Express, Diners, and Maestro of 19 digits."""


def grouped(text: str, strictly: bool = False) -> bool:
    """Whether digits stand as one number does: with single spaces or dashes in any grouping, else, and `strictly`, in
    groups of one length. Two columns of a table are two numbers."""
    gaps = set(re.findall(r"(?<=[0-9])[^0-9]+(?=[0-9])", text))
    if gaps <= _PLAIN_GAPS and not (strictly and gaps):
        return True
    if any("|" in gap and "\n" in gap for gap in gaps):
        return False
    groups = tuple(map(len, re.findall("[0-9]+", text)))
    if groups[0] == 1 and len(gaps) > 1:
        return False
    return groups in _ODD_GROUPS or (len(set(groups[:-1])) == 1 and groups[-1] <= groups[0] <= 5)


_DATE = re.compile(r"\(?(?:19|20)[0-9]{2}([./-])(?:0?[1-9]|1[0-2])(?:$|\1|[^0-9])")


def no_date(text: str) -> bool:
    """Not a date that begins with its year."""
    return _DATE.match(text) is None


def german_id_card(text: str) -> bool:
    """ICAO 9303: nine characters and, where a tenth follows, its check digit; else the ninth is the check digit."""
    number = compact(text).removesuffix("D") if len(compact(text)) == 11 else compact(text)
    body, check = (number[:9], number[9]) if len(number) == 10 else (number[:8], number[8:9])
    return check.isdigit() and any(each.isdigit() for each in body) and icao(body) == int(check)


def icao(body: str) -> int:
    """The check digit of ICAO 9303 over letters and digits."""
    return sum(int(each, 36) * (7, 3, 1)[at % 3] for at, each in enumerate(body)) % 10


def german_pension(text: str) -> bool:
    """Rentenversicherungsnummer: area, birth date, initial, serial, check digit (VKVV, § 4)."""
    number = compact(text)
    if len(number) != 12 or not number[8].isalpha():
        return False
    spread = f"{number[:8]}{ord(number[8]) - 64:02d}{number[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    crossed = sum(sum(divmod(int(each) * weight, 10)) for each, weight in zip(spread, weights, strict=True))
    return crossed % 10 == int(number[11])


def german_insured(text: str) -> bool:
    """Krankenversichertennummer: a letter, eight digits, check digit (§ 290 SGB V)."""
    number = compact(text)
    spread = f"{ord(number[0]) - 64:02d}{number[1:9]}"
    crossed = sum(sum(divmod(int(each) * (1 + at % 2), 10)) for at, each in enumerate(spread))
    return crossed % 10 == int(number[9])


def british_insured(text: str) -> bool:
    """National Insurance number: prefixes that HMRC gives. It has no check digit."""
    prefix = compact(text)[:2]
    return prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def austrian_insured(text: str) -> bool:
    """Sozialversicherungsnummer of Austria: serial, check digit, birth date."""
    return _of("at.vnr")(digits(text))


def ipv4(text: str) -> bool:
    """Four numbers below 256, and nothing that only says `all` or `myself`."""
    parts = text.split(".")
    return all(int(each) < 256 for each in parts) and len(set(parts)) > 1 and text != "127.0.0.1"


def ipv6(text: str) -> bool:
    """An address as Python's own reader takes it, longer than the two that mean nobody."""
    import ipaddress

    try:
        return int(ipaddress.IPv6Address(text)) > 1
    except ValueError:
        return False


def birth_date(text: str) -> bool:
    """Day, month and year in some order that a calendar has."""
    numbers = [
        int(each) for each in text.replace("/", ".").replace("-", ".").replace(" ", "").split(".") if each
    ]
    if len(numbers) != 3:
        return False
    first, second, third = numbers
    year, rest = (first, (second, third)) if first > 31 else (third, (first, second))
    return min(rest) > 0 and min(rest) <= 12 and max(rest) <= 31 and (year < 100 or 1900 <= year <= 2100)
