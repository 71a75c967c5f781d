"""Values for the places in sentences: made up, numbers with true check digits, in the shapes that people write."""

from __future__ import annotations

import random
from collections.abc import Callable

from stdnum import luhn
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.iso7064 import mod_97_10
from stdnum.it import codicefiscale, iva

from bench.redaction.words import CITIES, FIRST, LAST, MONTHS, ORGANISATIONS, STREETS


class Lot(random.Random):
    """Draws; of words only from the half that is the developed sentences' or the kept ones'."""

    kept = False

    def word(self, words: list[str]) -> str:
        """One of its half."""
        return self.choice(words[self.kept :: 2])


LETTERS, DIGITS = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"


def drawn(lot: Lot, length: int, letters: str = DIGITS) -> str:
    """Characters by lot."""
    return "".join(lot.choice(letters) for _ in range(length))


def grouped(number: str, *sizes: int, by: str = " ") -> str:
    """The number in groups of these sizes, the last taking what is left."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(number[at : at + size])
        at += size
    return by.join(piece for piece in [*pieces, number[at:]] if piece)


def fours(number: str, by: str = " ") -> str:
    return grouped(number, *[4] * (len(number) // 4), by=by)


_BBAN: dict[str, tuple[str, int]] = {
    "DE": ("", 18),
    "FR": ("", 23),
    "ES": ("", 20),
    "CH": ("", 17),
    "GB": ("NWBK", 14),
}


def iban(lot: Lot, language: str) -> str:
    """Of a country whose customers write in the language."""
    country = {"en": "GB", "de": lot.choice(["DE", "CH"]), "fr": "FR", "it": "IT", "es": "ES"}[language]
    if country == "IT":
        bank = drawn(lot, 22)
        body = _cin(bank) + bank
    elif country == "ES":
        from stdnum.es import ccc

        bank = drawn(lot, 8) + "00" + drawn(lot, 10)
        body = bank[:8] + ccc.calc_check_digits(bank) + bank[10:]
    elif country == "FR":
        bank = drawn(lot, 21)
        body = bank + f"{97 - (89 * int(bank[:5]) + 15 * int(bank[5:10]) + 3 * int(bank[10:21])) % 97:02d}"
    else:
        start, length = _BBAN[country]
        body = start + drawn(lot, length)
    made = country + mod_97_10.calc_check_digits(body + country) + body
    return lot.choice([made, fours(made), fours(made), made.lower(), fours(made, "-")])


def _cin(bank: str) -> str:
    """The Italian check letter: the number's own; the registry asks only that a letter stands there."""
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
    return chr(65 + sum(odd[int(d)] if at % 2 == 0 else int(d) for at, d in enumerate(bank)) % 26)


def card(lot: Lot, _: str) -> str:
    start, length = lot.choice([("4", 16), ("5" + lot.choice("12345"), 16), ("37", 15), ("6011", 16)])
    body = start + drawn(lot, length - len(start) - 1)
    made = body + luhn.calc_check_digit(body)
    if length == 15:
        return lot.choice([made, grouped(made, 4, 6)])
    return lot.choice([made, fours(made), fours(made, "-"), fours(made, "\u00a0")])


def tax_id(lot: Lot, _: str) -> str:
    while True:
        body = drawn(lot, 1, "123456789") + drawn(lot, 9)
        for check in DIGITS:
            if idnr.is_valid(made := body + check):
                return lot.choice([made, grouped(made, 2, 3, 3), grouped(made, 2, 3, 3, by="/")])


def pension(lot: Lot, _: str) -> str:
    """Rentenversicherungsnummer, by VKVV § 4."""
    letter = drawn(lot, 1, LETTERS)
    area, born = (
        lot.choice(["12", "15", "53", "65"]),
        f"{lot.randint(1, 28):02d}{lot.randint(1, 12):02d}{lot.randint(40, 99)}",
    )
    serial = drawn(lot, 2)
    spread = [*map(int, area + born + f"{ord(letter) - 64:02d}" + serial)]
    total = 0
    for digit, factor in zip(spread, [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1], strict=True):
        product = digit * factor
        total += product // 10 + product % 10
    made = f"{area}{born}{letter}{serial}{total % 10}"
    return lot.choice([made, grouped(made, 2, 6, 1)])


def insured(lot: Lot, _: str) -> str:
    """Krankenversichertennummer, by § 290 SGB V."""
    letter, body = drawn(lot, 1, LETTERS), drawn(lot, 8)
    total = 0
    for at, digit in enumerate(f"{ord(letter) - 64:02d}{body}"):
        product = int(digit) * (2 if at % 2 else 1)
        total += product // 10 + product % 10
    return f"{letter}{body}{total % 10}"


def id_card(lot: Lot, _: str) -> str:
    """Serial number of a German identity card with its check digit (ICAO 9303)."""
    letters = "CFGHJKLMNPRTVWXYZ"
    body = "L" + drawn(lot, 2) + drawn(lot, 5, letters + DIGITS) + drawn(lot, 1)
    total = sum(
        (int(each) if each.isdigit() else ord(each) - 55) * [7, 3, 1][at % 3] for at, each in enumerate(body)
    )
    return f"{body}{total % 10}"


def nhs_number(lot: Lot, _: str) -> str:
    while True:
        body = drawn(lot, 1, "4679") + drawn(lot, 8)
        for check in DIGITS:
            if nhs.is_valid(made := body + check):
                return lot.choice([made, grouped(made, 3, 3), grouped(made, 3, 3, by="-")])


def ahv_number(lot: Lot, _: str) -> str:
    body = "756" + drawn(lot, 9)
    for check in DIGITS:
        if ahv.is_valid(made := body + check):
            return lot.choice([made, grouped(made, 3, 4, 4, by=".")])
    raise AssertionError


def nir_number(lot: Lot, _: str) -> str:
    body = f"{lot.choice('12')}{drawn(lot, 2)}{lot.randint(1, 12):02d}{lot.randint(1, 95):02d}{drawn(lot, 3)}{drawn(lot, 3)}"
    made = body + nir.calc_check_digits(body + "00")
    return lot.choice([made, grouped(made, 1, 2, 2, 2, 3, 3)])


def fiscal_code(lot: Lot, _: str) -> str:
    consonants = "BCDFGLMNPRSTVZ"
    body = (
        drawn(lot, 6, consonants)
        + drawn(lot, 2)
        + lot.choice("ABCDEHLMPRST")
        + f"{lot.choice([0, 40]) + lot.randint(1, 28):02d}"
        + lot.choice("ABCDEFGHIL")
        + drawn(lot, 3, "123456789")
    )
    made = body + codicefiscale.calc_check_digit(body)
    return lot.choice([made, made, made.lower()])


def italian_vat(lot: Lot, _: str) -> str:
    while True:
        body = "0" + drawn(lot, 6) + f"{lot.randint(1, 99):03d}"
        if iva.is_valid(made := body + luhn.calc_check_digit(body)):
            return made


def dni_number(lot: Lot, _: str) -> str:
    body = drawn(lot, 1, "1234567") + drawn(lot, 7)
    letter = dni.calc_check_digit(body)
    return lot.choice(
        [
            body + letter,
            f"{body}-{letter}",
            f"{body[:2]}.{body[2:5]}.{body[5:]}-{letter}",
            body + letter.lower(),
        ]
    )


def nie_number(lot: Lot, _: str) -> str:
    body = drawn(lot, 1, "XYZ") + drawn(lot, 7)
    letter = nie.calc_check_digit(body)
    return lot.choice([body + letter, f"{body[0]}-{body[1:]}-{letter}", f"{body[0]}{body[1:]}-{letter}"])


def eu_vat(lot: Lot, language: str) -> str:
    from stdnum.eu import vat

    shapes = {"de": ["DE"], "fr": ["FR"], "en": ["DE", "FR", "NL"]}[language]
    while True:
        country = lot.choice(shapes)
        made = {
            "DE": lambda: "DE" + drawn(lot, 9),
            "FR": lambda: "FR" + drawn(lot, 11),
            "NL": lambda: f"NL{drawn(lot, 9)}B{drawn(lot, 2)}",
        }[country]()
        if vat.is_valid(made):
            return lot.choice([made, f"{made[:2]} {made[2:]}"])


def nino(lot: Lot, _: str) -> str:
    made = (
        lot.choice("ABCEHJLMPRSTWXYZ") + lot.choice("ABCEHJKLMPRSWXYZ") + drawn(lot, 6) + lot.choice("ABCD")
    )
    return lot.choice([made, grouped(made, 2, 2, 2, 2)])


def us_ssn(lot: Lot, _: str) -> str:
    made = f"{lot.randint(1, 665):03d}-{lot.randint(1, 99):02d}-{lot.randint(1, 9999):04d}"
    return lot.choice([made, made, made.replace("-", " ")])


def phone(lot: Lot, language: str) -> str:
    return lot.choice(
        {
            "en": [f"+44 20 7{drawn(lot, 3)} {drawn(lot, 4)}", f"07{drawn(lot, 3)} {drawn(lot, 6)}", f"(415) 5{drawn(lot, 2)}-{drawn(lot, 4)}"],
            "de": [f"+49 {drawn(lot, 3, '123456789')} {drawn(lot, 7)}", f"0{drawn(lot, 3, '12345679')}/{drawn(lot, 6)}", f"+41 79 {drawn(lot, 3)} {drawn(lot, 2)} {drawn(lot, 2)}"],
            "fr": [f"+33 6 {drawn(lot, 2)} {drawn(lot, 2)} {drawn(lot, 2)} {drawn(lot, 2)}", f"0{drawn(lot, 1, '123456')} {drawn(lot, 2)} {drawn(lot, 2)} {drawn(lot, 2)} {drawn(lot, 2)}"],
            "it": [f"+39 3{drawn(lot, 2)} {drawn(lot, 7)}", f"02 {drawn(lot, 4)} {drawn(lot, 4)}"],
            "es": [f"+34 6{drawn(lot, 2)} {drawn(lot, 3)} {drawn(lot, 3)}", f"91 {drawn(lot, 3)} {drawn(lot, 2)} {drawn(lot, 2)}"],
        }[language]
    )  # fmt: skip


def person(lot: Lot, language: str) -> str:
    first, last = lot.word(FIRST[language]), lot.word(LAST[language])
    return lot.choice([f"{first} {last}"] * 4 + [last])


def email(lot: Lot, language: str) -> str:
    plain = str.maketrans("äöüéèñóàíçß", "aoueenoaics")
    first, last = (
        lot.word(each[language]).lower().translate(plain).replace(" ", "") for each in (FIRST, LAST)
    )
    return lot.choice([f"{first}.{last}@", f"{first[0]}{last}{drawn(lot, 2)}@"]) + lot.choice(
        ["example.org", "mail.example.com", "firma.example"]
    )


def birth_date(lot: Lot, language: str) -> str:
    day, month, year = lot.randint(1, 28), lot.randint(1, 12), lot.randint(1940, 2005)
    name = MONTHS[language][month - 1]
    words = {"en": f"{day} {name} {year}", "de": f"{day}. {name} {year}", "es": f"{day} de {name} de {year}"}
    numbers = f"{day:02d}.{month:02d}.{year}" if language == "de" else f"{day:02d}/{month:02d}/{year}"
    return lot.choice([numbers, words.get(language, f"{day} {name} {year}")])


def address(lot: Lot, language: str) -> str:
    number, street = lot.randint(1, 180), lot.word(STREETS[language])
    return {
        "en": f"{number} {street}",
        "de": f"{street} {number}",
        "fr": f"{number} {street}",
        "it": f"{street} {number}",
        "es": f"{street}, {number}",
    }[language]


def secret(lot: Lot, _: str) -> str:
    mixed = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return lot.choice(
        [
            "AKIA" + drawn(lot, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
            "ghp_" + drawn(lot, 36, mixed),
            "sk-proj-" + drawn(lot, 40, mixed),
            "glpat-" + drawn(lot, 20, mixed),
            f"postgres://app:{drawn(lot, 14, mixed)}@db.internal/app",
            f"eyJ{drawn(lot, 20, mixed)}.eyJ{drawn(lot, 40, mixed)}.{drawn(lot, 43, mixed)}",
        ]
    )


def ip(lot: Lot, _: str) -> str:
    return ".".join(str(lot.randint(1, 254)) for _ in range(4))


MADE: dict[str, Callable[[Lot, str], str]] = {
    "IBAN_CODE": iban,
    "CREDIT_CARD": card,
    "DE_TAX_ID": tax_id,
    "DE_SOCIAL_SECURITY": pension,
    "DE_HEALTH_INSURANCE": insured,
    "DE_ID_CARD": id_card,
    "UK_NHS": nhs_number,
    "CH_AHV": ahv_number,
    "FR_NIR": nir_number,
    "IT_FISCAL_CODE": fiscal_code,
    "IT_VAT_CODE": italian_vat,
    "ES_NIF": dni_number,
    "ES_NIE": nie_number,
    "EU_VAT": eu_vat,
    "UK_NINO": nino,
    "US_SSN": us_ssn,
    "EMAIL_ADDRESS": email,
    "PHONE_NUMBER": phone,
    "IP_ADDRESS": ip,
    "DATE_OF_BIRTH": birth_date,
    "ADDRESS": address,
    "SECRET": secret,
    "PERSON": person,
    "LOCATION": lambda lot, language: lot.word(CITIES[language]),
    "ORGANIZATION": lambda lot, language: lot.word(ORGANISATIONS[language]),
}
WITH_CHECKSUM = [*MADE][:14]
"""Whose own digits tell a true one."""
