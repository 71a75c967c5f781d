"""Prints sentences from templates of presidio-evaluator with values of Faker. It runs in Faker's environment.

    python faker_process.py TEMPLATES SEED COUNT

Each line is JSON: the text, and the spans of the measured identifiers.
"""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

MEASURED = {
    "credit_card_number": "CREDIT_CARD",
    "credit_card": "CREDIT_CARD",
    "phone_number": "PHONE_NUMBER",
    "iban": "IBAN_CODE",
    "ssn": "US_SSN",
    "email": "EMAIL_ADDRESS",
    "ip_address": "IP_ADDRESS",
}
LOCALES = (
    *("en_US", "en_GB", "en_AU", "de_DE", "de_AT", "de_CH", "fr_FR", "it_IT"),
    *("es_ES", "pt_PT", "nl_NL", "pl_PL", "sv_SE"),
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_FAKER_METHODS = {
    "person": "name",
    "organization": "company",
    "nationality": "country",
    "date_of_birth": "date",
    "name_nonbinary": "name",
    "zipcode": "postcode",
    "nation_woman": "country",
    "nation_man": "country",
    "nation_plural": "country",
}


def main(templates: str, seed: int, count: int) -> None:
    """Print `count` sentences. Entities and locales take turns; the template is random."""
    from faker import Faker  # type: ignore[import-not-found]

    read = Path(templates).read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in read.splitlines()]
    # In the template file a line break is a backslash and an n.
    lines = [line.replace("\\n", "\n") for line in lines]
    by_entity = {
        entity: [line for line in lines if any(MEASURED.get(name) == entity for name in _PLACE.findall(line))]
        for entity in dict.fromkeys(MEASURED.values())
    }
    chance = random.Random(seed)
    fakers = {locale: Faker(locale) for locale in LOCALES}
    Faker.seed(seed)
    for number in range(count):
        locale = LOCALES[number % len(LOCALES)]
        template = chance.choice(by_entity[list(by_entity)[number % len(by_entity)]])
        text, spans, end = "", [], 0
        for place in _PLACE.finditer(template):
            name = place.group(1)
            value = _value(fakers, locale, name, chance)
            text += template[end : place.start()]
            if name in MEASURED:
                spans.append([len(text), len(text) + len(value), MEASURED[name]])
            text += value
            end = place.end()
        print(json.dumps({"text": text + template[end:], "spans": spans}))


def _value(fakers: dict[str, object], locale: str, name: str, chance: random.Random) -> str:
    faker = fakers["en_US" if name == "ssn" else locale]
    if name == "ip_address":
        return str(getattr(faker, "ipv6" if chance.random() < 0.3 else "ipv4")())
    method = {"credit_card": "credit_card_number"}.get(name, _FAKER_METHODS.get(name, name))
    provider = getattr(faker, method, None) or getattr(fakers["en_US"], method, None)
    return str(provider()) if provider else name


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
