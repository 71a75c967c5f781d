"""Generates values for the placeholders: invented, with valid check digits, in the formats that people write."""

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


class ValueSource(random.Random):
    """A source of random values. Words come from one half of each list: held-out sentences use the other half."""

    held_out = False

    def word(self, choices: list[str]) -> str:
        """A word from this source's half of the list."""
        return self.choice(choices[self.held_out :: 2])


LETTERS, DIGITS = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"


def draw(source: ValueSource, length: int, alphabet: str = DIGITS) -> str:
    """Random characters."""
    return "".join(source.choice(alphabet) for _ in range(length))


def grouped(number: str, *sizes: int, separator: str = " ") -> str:
    """The number in groups of these sizes. The last group takes the rest."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(number[start : start + size])
        start += size
    return separator.join(piece for piece in [*pieces, number[start:]] if piece)


def fours(number: str, separator: str = " ") -> str:
    return grouped(number, *[4] * (len(number) // 4), separator=separator)


_BBAN: dict[str, tuple[str, int]] = {
    "DE": ("", 18),
    "FR": ("", 23),
    "ES": ("", 20),
    "CH": ("", 17),
    "GB": ("NWBK", 14),
}


def iban(source: ValueSource, language: str) -> str:
    """An IBAN of a country where the language is spoken."""
    country = {"en": "GB", "de": source.choice(["DE", "CH"]), "fr": "FR", "it": "IT", "es": "ES"}[language]
    if country == "IT":
        bank = draw(source, 22)
        body = _cin(bank) + bank
    elif country == "ES":
        from stdnum.es import ccc

        bank = draw(source, 8) + "00" + draw(source, 10)
        body = bank[:8] + ccc.calc_check_digits(bank) + bank[10:]
    elif country == "FR":
        bank = draw(source, 21)
        body = bank + f"{97 - (89 * int(bank[:5]) + 15 * int(bank[5:10]) + 3 * int(bank[10:21])) % 97:02d}"
    else:
        start, length = _BBAN[country]
        body = start + draw(source, length)
    number = country + mod_97_10.calc_check_digits(body + country) + body
    return source.choice([number, fours(number), fours(number), number.lower(), fours(number, "-")])


def _cin(bank: str) -> str:
    """The Italian check letter. The IBAN registry only requires that it is a letter."""
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
    return chr(65 + sum(odd[int(d)] if at % 2 == 0 else int(d) for at, d in enumerate(bank)) % 26)


def card(source: ValueSource, _: str) -> str:
    start, length = source.choice([("4", 16), ("5" + source.choice("12345"), 16), ("37", 15), ("6011", 16)])
    body = start + draw(source, length - len(start) - 1)
    number = body + luhn.calc_check_digit(body)
    if length == 15:
        return source.choice([number, grouped(number, 4, 6)])
    return source.choice([number, fours(number), fours(number, "-"), fours(number, "\u00a0")])


def tax_id(source: ValueSource, _: str) -> str:
    while True:
        body = draw(source, 1, "123456789") + draw(source, 9)
        for check in DIGITS:
            if idnr.is_valid(number := body + check):
                return source.choice(
                    [number, grouped(number, 2, 3, 3), grouped(number, 2, 3, 3, separator="/")]
                )


def pension(source: ValueSource, _: str) -> str:
    """A German pension insurance number (Rentenversicherungsnummer, VKVV § 4)."""
    letter = draw(source, 1, LETTERS)
    area, born = (
        source.choice(["12", "15", "53", "65"]),
        f"{source.randint(1, 28):02d}{source.randint(1, 12):02d}{source.randint(40, 99)}",
    )
    serial = draw(source, 2)
    spread = [*map(int, area + born + f"{ord(letter) - 64:02d}" + serial)]
    total = 0
    for digit, factor in zip(spread, [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1], strict=True):
        product = digit * factor
        total += product // 10 + product % 10
    number = f"{area}{born}{letter}{serial}{total % 10}"
    return source.choice([number, grouped(number, 2, 6, 1)])


def insured(source: ValueSource, _: str) -> str:
    """A German health insurance number (Krankenversichertennummer, § 290 SGB V)."""
    letter, body = draw(source, 1, LETTERS), draw(source, 8)
    total = 0
    for at, digit in enumerate(f"{ord(letter) - 64:02d}{body}"):
        product = int(digit) * (2 if at % 2 else 1)
        total += product // 10 + product % 10
    return f"{letter}{body}{total % 10}"


def id_card(source: ValueSource, _: str) -> str:
    """The serial number of a German identity card with its check digit (ICAO 9303)."""
    letters = "CFGHJKLMNPRTVWXYZ"
    body = "L" + draw(source, 2) + draw(source, 5, letters + DIGITS) + draw(source, 1)
    total = sum(
        (int(character) if character.isdigit() else ord(character) - 55) * [7, 3, 1][at % 3]
        for at, character in enumerate(body)
    )
    return f"{body}{total % 10}"


def nhs_number(source: ValueSource, _: str) -> str:
    while True:
        body = draw(source, 1, "4679") + draw(source, 8)
        for check in DIGITS:
            if nhs.is_valid(number := body + check):
                return source.choice([number, grouped(number, 3, 3), grouped(number, 3, 3, separator="-")])


def ahv_number(source: ValueSource, _: str) -> str:
    body = "756" + draw(source, 9)
    for check in DIGITS:
        if ahv.is_valid(number := body + check):
            return source.choice([number, grouped(number, 3, 4, 4, separator=".")])
    raise AssertionError


def nir_number(source: ValueSource, _: str) -> str:
    body = f"{source.choice('12')}{draw(source, 2)}{source.randint(1, 12):02d}{source.randint(1, 95):02d}{draw(source, 3)}{draw(source, 3)}"
    number = body + nir.calc_check_digits(body + "00")
    return source.choice([number, grouped(number, 1, 2, 2, 2, 3, 3)])


def fiscal_code(source: ValueSource, _: str) -> str:
    consonants = "BCDFGLMNPRSTVZ"
    body = (
        draw(source, 6, consonants)
        + draw(source, 2)
        + source.choice("ABCDEHLMPRST")
        + f"{source.choice([0, 40]) + source.randint(1, 28):02d}"
        + source.choice("ABCDEFGHIL")
        + draw(source, 3, "123456789")
    )
    code = body + codicefiscale.calc_check_digit(body)
    return source.choice([code, code, code.lower()])


def italian_vat(source: ValueSource, _: str) -> str:
    while True:
        body = "0" + draw(source, 6) + f"{source.randint(1, 99):03d}"
        if iva.is_valid(number := body + luhn.calc_check_digit(body)):
            return number


def dni_number(source: ValueSource, _: str) -> str:
    body = draw(source, 1, "1234567") + draw(source, 7)
    letter = dni.calc_check_digit(body)
    return source.choice(
        [
            body + letter,
            f"{body}-{letter}",
            f"{body[:2]}.{body[2:5]}.{body[5:]}-{letter}",
            body + letter.lower(),
        ]
    )


def nie_number(source: ValueSource, _: str) -> str:
    body = draw(source, 1, "XYZ") + draw(source, 7)
    letter = nie.calc_check_digit(body)
    return source.choice([body + letter, f"{body[0]}-{body[1:]}-{letter}", f"{body[0]}{body[1:]}-{letter}"])


def eu_vat(source: ValueSource, language: str) -> str:
    from stdnum.eu import vat

    shapes = {"de": ["DE"], "fr": ["FR"], "en": ["DE", "FR", "NL"]}[language]
    while True:
        country = source.choice(shapes)
        number = {
            "DE": lambda: "DE" + draw(source, 9),
            "FR": lambda: "FR" + draw(source, 11),
            "NL": lambda: f"NL{draw(source, 9)}B{draw(source, 2)}",
        }[country]()
        if vat.is_valid(number):
            return source.choice([number, f"{number[:2]} {number[2:]}"])


def nino(source: ValueSource, _: str) -> str:
    number = (
        source.choice("ABCEHJLMPRSTWXYZ")
        + source.choice("ABCEHJKLMPRSWXYZ")
        + draw(source, 6)
        + source.choice("ABCD")
    )
    return source.choice([number, grouped(number, 2, 2, 2, 2)])


def us_ssn(source: ValueSource, _: str) -> str:
    number = f"{source.randint(1, 665):03d}-{source.randint(1, 99):02d}-{source.randint(1, 9999):04d}"
    return source.choice([number, number, number.replace("-", " ")])


def phone(source: ValueSource, language: str) -> str:
    return source.choice(
        {
            "en": [f"+44 20 7{draw(source, 3)} {draw(source, 4)}", f"07{draw(source, 3)} {draw(source, 6)}", f"(415) 5{draw(source, 2)}-{draw(source, 4)}"],
            "de": [f"+49 {draw(source, 3, '123456789')} {draw(source, 7)}", f"0{draw(source, 3, '12345679')}/{draw(source, 6)}", f"+41 79 {draw(source, 3)} {draw(source, 2)} {draw(source, 2)}"],
            "fr": [f"+33 6 {draw(source, 2)} {draw(source, 2)} {draw(source, 2)} {draw(source, 2)}", f"0{draw(source, 1, '123456')} {draw(source, 2)} {draw(source, 2)} {draw(source, 2)} {draw(source, 2)}"],
            "it": [f"+39 3{draw(source, 2)} {draw(source, 7)}", f"02 {draw(source, 4)} {draw(source, 4)}"],
            "es": [f"+34 6{draw(source, 2)} {draw(source, 3)} {draw(source, 3)}", f"91 {draw(source, 3)} {draw(source, 2)} {draw(source, 2)}"],
        }[language]
    )  # fmt: skip


def person(source: ValueSource, language: str) -> str:
    first, last = source.word(FIRST[language]), source.word(LAST[language])
    return source.choice([f"{first} {last}"] * 4 + [last])


def email(source: ValueSource, language: str) -> str:
    plain = str.maketrans("äöüéèñóàíçß", "aoueenoaics")
    first, last = (
        source.word(names[language]).lower().translate(plain).replace(" ", "") for names in (FIRST, LAST)
    )
    return source.choice([f"{first}.{last}@", f"{first[0]}{last}{draw(source, 2)}@"]) + source.choice(
        ["example.org", "mail.example.com", "firma.example"]
    )


def birth_date(source: ValueSource, language: str) -> str:
    day, month, year = source.randint(1, 28), source.randint(1, 12), source.randint(1940, 2005)
    name = MONTHS[language][month - 1]
    with_month_name = {
        "en": f"{day} {name} {year}",
        "de": f"{day}. {name} {year}",
        "es": f"{day} de {name} de {year}",
    }
    numbers = f"{day:02d}.{month:02d}.{year}" if language == "de" else f"{day:02d}/{month:02d}/{year}"
    return source.choice([numbers, with_month_name.get(language, f"{day} {name} {year}")])


def address(source: ValueSource, language: str) -> str:
    number, street = source.randint(1, 180), source.word(STREETS[language])
    return {
        "en": f"{number} {street}",
        "de": f"{street} {number}",
        "fr": f"{number} {street}",
        "it": f"{street} {number}",
        "es": f"{street}, {number}",
    }[language]


def secret(source: ValueSource, _: str) -> str:
    mixed = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return source.choice(
        [
            "AKIA" + draw(source, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
            "ghp_" + draw(source, 36, mixed),
            "sk-proj-" + draw(source, 40, mixed),
            "glpat-" + draw(source, 20, mixed),
            f"postgres://app:{draw(source, 14, mixed)}@db.internal/app",
            f"eyJ{draw(source, 20, mixed)}.eyJ{draw(source, 40, mixed)}.{draw(source, 43, mixed)}",
        ]
    )


def ip(source: ValueSource, _: str) -> str:
    return ".".join(str(source.randint(1, 254)) for _ in range(4))


GENERATORS: dict[str, Callable[[ValueSource, str], str]] = {
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
    "LOCATION": lambda source, language: source.word(CITIES[language]),
    "ORGANIZATION": lambda source, language: source.word(ORGANISATIONS[language]),
}
WITH_CHECKSUM = [*GENERATORS][:14]
"""Entities whose check digits show whether a number is valid."""
