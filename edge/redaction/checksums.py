"""Checks whether an issuer could have given a number. Most checks come from python-stdnum; the others are here."""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable
from functools import cache, partial

Check = Callable[[str], bool]


def stdnum(module: str) -> Check:
    """The check of a python-stdnum module, which is imported at the first call."""

    def check(number: str) -> bool:
        return _stdnum_check(module)(number)

    return check


@cache
def _stdnum_check(module: str, **options: bool) -> Check:
    return partial(importlib.import_module(f"stdnum.{module}").is_valid, **options)


def only_digits(text: str) -> str:
    """The ASCII digits of a text."""
    return "".join(character for character in text if character.isascii() and character.isdigit())


def compact(text: str) -> str:
    """The ASCII letters and digits of a text, in upper case."""
    return _alphanumeric(text).upper()


def _alphanumeric(text: str) -> str:
    """The ASCII letters and digits of a text."""
    return "".join(character for character in text if character.isascii() and character.isalnum())


_IBAN_COUNTRIES = {
    "8n12c": "AD", "19n": "AE IL SO TL", "8n16c": "AL CY", "16n": "AT BA EE LT MN XK", "4a20c": "AZ",
    "12n": "BE", "4a6n8c": "BG", "4a14c": "BH", "23n": "BI DJ MR", "23n1a1c": "BR", "4c4n16c": "BY",
    "5n12c": "CH LI", "18n": "CR DE ME RS VA", "20n": "CZ ES SE SK TN", "14n": "DK FI FO GL SD", "4c20n": "DO",
    "25n": "EG", "2a12n": "FK", "10n11c2n": "FR MC", "4a14n": "GB IE", "2a16n": "GE", "4a15c": "GI",
    "7n16c": "GR", "24c": "GT", "4a20n": "HN NI SV", "17n": "HR", "24n": "HU PL", "4a15n": "IQ", "22n": "IS",
    "1a10n12c": "IT SM", "4a4n18c": "JO YE", "4a22c": "KW", "3n13c": "KZ LU", "4n20c": "LB", "4a24c": "LC",
    "4a13c": "LV", "21n": "LY PT ST", "20c": "MD", "3n10c2n": "MK", "4a5n18c": "MT", "4a19n3a": "MU",
    "4a10n": "NL", "11n": "NO", "3n16c": "OM", "4a16c": "PK RO", "4a21c": "PS QA", "14n15c": "RU",
    "2n18c": "SA", "4a20n3a": "SC", "15n": "SI", "6n16c": "TR", "6n19c": "UA", "4a16n": "VG",
}  # fmt: skip
IBAN_STRUCTURES = {
    country: "".join(kind * int(count) for count, kind in re.findall(r"([0-9]+)([nac])", structure))
    for structure, countries in _IBAN_COUNTRIES.items()
    for country in countries.split()
}
"""Type of each character behind the check digits, by country: digit (n), letter (a) or either (c).

Source: the ISO 13616 registry. python-stdnum has the same data, but the gateway's image has no python-stdnum."""
_LOOK_ALIKE = str.maketrans("OoIil", "00111")


def cut_to_iban(text: str) -> str:
    """The beginning of a text that is as long as an IBAN of its country. Empty if the text is shorter."""
    kinds = _iban_kinds(text)
    if text[: len(kinds)].isalnum() and text.isascii():
        return text[: len(kinds)] if kinds and len(text) >= len(kinds) else ""
    positions = [at for at, character in enumerate(text) if character.isascii() and character.isalnum()]
    return text[: positions[len(kinds) - 1] + 1] if 0 < len(kinds) <= len(positions) else ""


def _iban_kinds(text: str) -> str:
    """The character types of an IBAN of the country that the text begins with. Empty for an unknown country."""
    first = "".join(filter(str.isalpha, text[:_COUNTRY_WITHIN]))[:2].upper()
    return "aann" + IBAN_STRUCTURES[first] if first in IBAN_STRUCTURES else ""


_COUNTRY_WITHIN = 8
"""Characters that hold the two letters of a country and the separators between them."""


def iban(text: str) -> bool:
    """Whether a text is an IBAN (ISO 13616: structure and modulo 97). Look-alike letters count as digits."""
    number = _alphanumeric(text)
    kinds = _iban_kinds(number)
    if not kinds or len(number) != len(kinds):
        return False
    corrected = "".join(
        character.translate(_LOOK_ALIKE) if kind == "n" else character
        for character, kind in zip(number, kinds, strict=True)
    )
    if sum(map(str.isdigit, corrected)) < _MIN_IBAN_DIGITS:
        return False
    return _stdnum_check("iban", check_country=False)(corrected.upper())


_MIN_IBAN_DIGITS = 8
"""Some countries allow account numbers of letters only, which words after `KW 12` would match."""


def iban_counts_between(before: str, text: str, after: str) -> bool:
    """Whether an IBAN counts with this text before and after it. Within a word, its own characters must be adjacent."""
    glued_before, glued_after = before[-1:].isalnum(), after[:1].isalnum()
    if not (glued_before or glued_after):
        return True
    if glued_before and not text[:4].isalnum():
        return False
    if after[:1].isdigit() and not (text.isalnum() and len(text) >= _MIN_LENGTH_BEFORE_DIGITS):
        return False
    return _HEX_AROUND.fullmatch(f"{_last_word(before)}{text}{_first_word(after)}") is None


_MIN_LENGTH_BEFORE_DIGITS = 18
"""Shorter IBANs with more digits behind them do not count: `no` and 13 digits may be a time stamp."""
_HEX_AROUND = re.compile("[0-9a-f]+")


def _last_word(text: str) -> str:
    """The letters and digits at the end of a text."""
    return re.search(r"[^\W_]*\Z", text).group()  # type: ignore[union-attr]


def _first_word(text: str) -> str:
    """The letters and digits at the beginning of a text."""
    return re.match(r"[^\W_]*", text).group()  # type: ignore[union-attr]


def card_counts_between(before: str, text: str, after: str) -> bool:
    """Whether a card number counts with this text around it: not within a longer number, a digest or a list."""
    glued_before, glued_after = before[-1:].isalnum(), after[:1].isalnum()
    if before[-1:].isdigit() or after[:1].isdigit():
        return False
    if (glued_before or glued_after) and (
        _HEX_AROUND.fullmatch(_last_word(before).lower() + _first_word(after).lower()) is not None
        or not _card_of_network(text)
    ):
        return False
    return not _LIST.search(text) or not (_LIST_BEFORE.search(before) or _LIST_BEHIND.match(after))


def _card_of_network(text: str) -> bool:
    """Whether the digits have the length and the grouping of their card network."""
    groups = re.findall("[0-9]+", text)
    return _NETWORKS.fullmatch("".join(groups)) is not None and (
        len(groups) == 1 or tuple(map(len, groups)) in _CARD_GROUPS
    )


def _is_sorted(text: str) -> bool:
    """Whether the numbers rise or fall strictly, as in lists of ports, sizes and years."""
    numbers = [int(number) for number in re.findall("[0-9]+", text)]
    steps = {following > number for number, following in itertools.pairwise(numbers) if following != number}
    return len(set(numbers)) == len(numbers) and len(steps) == 1


_NETWORKS = re.compile(
    "(?:4...|5[1-5]..|222[1-9]|22[3-9].|2[3-6]..|27[01].|2720|220[0-4]|6011|6(?:4[4-9]|5.|2.).|352[89]|35[3-8].)[0-9]{12}"
    "|3[47][0-9]{13}|3(?:0[0-5]|[689].)[0-9]{11}"
)
"""Number ranges of networks: Visa, Mastercard, Mir, Discover and UnionPay, JCB; American Express; Diners."""
_CARD_GROUPS = frozenset(((4, 4, 4, 4), (4, 6, 5), (4, 6, 4)))
_LIST = re.compile("[,;+]")
_LIST_BEFORE = re.compile(r"[0-9][\"']?\s{0,12}[,;+]\s{0,12}[\"']?\Z")
_LIST_BEHIND = re.compile(r"[\"']?\s{0,12}[,;+]\s{0,12}[\"']?[0-9]")
"""Another number of the list before or behind a match."""


def card(text: str) -> bool:
    """Whether a text is a card number: Luhn check, a known network and length, and a usual grouping."""
    number = only_digits(text)
    lengths = next((lengths for start, lengths in _CARD_LENGTHS if start.match(number)), ())
    if len(number) not in lengths or len(set(number)) == 1 or not _stdnum_check("luhn")(number):
        return False
    if _LIST.search(text) and (not _card_of_network(text) or _is_sorted(text)):
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
        ("220[0-4]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        ("6", (16, 17, 18, 19)),
    )
)
"""By first digits: American Express, JCB of 15 digits, Diners and JCB, Visa, Maestro, Mastercard, Mir and Mastercard,
Discover and UnionPay."""
_PLAIN_GAPS = frozenset(("", " ", "-"))
_ODD_GROUPS = frozenset(((4, 6, 5), (4, 6, 4), (6, 13), (4, 5, 6), (8, 11)))
"""American Express, Diners, and Maestro of 19 digits."""


def grouped(text: str, strictly: bool = False) -> bool:
    """Whether the digits are grouped as one number.

    Single spaces or dashes may group digits in any way. Other separators, and all with `strictly`, need groups of equal
    length. Two columns of a table are two numbers.
    """
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


def is_not_date(text: str) -> bool:
    """Whether a text is not a date that begins with its year."""
    return _DATE.match(text) is None


def german_id_card(text: str) -> bool:
    """ICAO 9303: nine characters and, where a tenth follows, its check digit; else the ninth is the check digit."""
    number = compact(text).removesuffix("D") if len(compact(text)) == 11 else compact(text)
    body, check = (number[:9], number[9]) if len(number) == 10 else (number[:8], number[8:9])
    return (
        check.isdigit()
        and any(character.isdigit() for character in body)
        and icao_check_digit(body) == int(check)
    )


def icao_check_digit(body: str) -> int:
    """The check digit of ICAO 9303 over letters and digits."""
    return sum(int(character, 36) * (7, 3, 1)[at % 3] for at, character in enumerate(body)) % 10


def german_pension(text: str) -> bool:
    """Rentenversicherungsnummer: area, birth date, initial, serial, check digit (VKVV, § 4)."""
    number = compact(text)
    if len(number) != 12 or not number[8].isalpha():
        return False
    digits = f"{number[:8]}{ord(number[8]) - 64:02d}{number[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    checksum = sum(
        sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits, weights, strict=True)
    )
    return checksum % 10 == int(number[11])


def german_insured(text: str) -> bool:
    """Krankenversichertennummer: a letter, eight digits, check digit (§ 290 SGB V)."""
    number = compact(text)
    digits = f"{ord(number[0]) - 64:02d}{number[1:9]}"
    checksum = sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in enumerate(digits))
    return checksum % 10 == int(number[9])


def british_insured(text: str) -> bool:
    """National Insurance number: prefixes that HMRC gives. It has no check digit."""
    prefix = compact(text)[:2]
    return prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def austrian_insured(text: str) -> bool:
    """Sozialversicherungsnummer of Austria: serial, check digit, birth date."""
    return _stdnum_check("at.vnr")(only_digits(text))


def ipv4(text: str) -> bool:
    """Whether a text is an IPv4 address, except 127.0.0.1 and addresses of four equal numbers."""
    octets = text.split(".")
    return all(int(octet) < 256 for octet in octets) and len(set(octets)) > 1 and text != "127.0.0.1"


def ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address other than `::` and `::1`."""
    import ipaddress

    try:
        return int(ipaddress.IPv6Address(text)) > 1
    except ValueError:
        return False


def birth_date(text: str) -> bool:
    """Whether a text is a date: day, month and year in a usual order."""
    numbers = [
        int(number)
        for number in text.replace("/", ".").replace("-", ".").replace(" ", "").split(".")
        if number
    ]
    if len(numbers) != 3:
        return False
    first, second, third = numbers
    year, day_and_month = (first, (second, third)) if first > 31 else (third, (first, second))
    return (
        min(day_and_month) > 0
        and min(day_and_month) <= 12
        and max(day_and_month) <= 31
        and (year < 100 or 1900 <= year <= 2100)
    )
