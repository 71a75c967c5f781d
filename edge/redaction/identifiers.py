"""Data: recognisers of numbers that identify a person or an account, by jurisdiction."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

from edge.redaction import checksums as check
from edge.redaction.checksums import IBAN_STRUCTURES, stdnum
from edge.redaction.recogniser import Recogniser


def _number(length: int, first: str = "[0-9]", between: str = r"[ ./-]?") -> str:
    """Digits in any grouping."""
    return f"{first}(?:{between}[0-9]){{{length - 1}}}"


def _jurisdictions(*codes: str) -> frozenset[str]:
    return frozenset(codes)


_GAP = r"[\s./_·*|`'\"-]{0,6}"
"""Between two groups of a number: spaces and line breaks, dots, slashes, the marks of Markdown and of tables."""
_LIST_GAP = r"[\s./_·*|`'\"+,;-]{0,6}"
"""The same, or what parts the elements of a list, of a row of CSV or of a form's field."""
_SPREAD = r"[\s._·|'\"+,;/-]{1,6}"
"""Between two characters of a number that is written one character at a time."""


def _iban() -> str:
    """IBANs of every country: its code and check digits together, parted, or one character at a time; then as many
    characters of its structure as tell it from prose and from a row of codes; then up to the longest one's end.

    Letters that look like digits stand for them: `O`, `I` and `l`.
    """
    countries: dict[str, list[str]] = defaultdict(list)
    for country, structure in IBAN_STRUCTURES.items():
        countries[structure[:_DISTINCTIVE]].append(country)
    beginnings = []
    for kinds, codes in countries.items():
        together = "|".join(codes)
        spread = "|".join(f"(?i:{code[0]}){_SPREAD}(?i:{code[1]})" for code in codes)
        head = (
            f"(?:(?:(?i:{together})|(?:{together})[ .-]){_CHECK_DIGIT}{{2}}"
            f"|(?:{spread}){_SPREAD}{_CHECK_DIGIT}{_SPREAD}{_CHECK_DIGIT})"
        )
        body = (f"(?:{_LIST_GAP}{_CLASSES[kind]}){{{sum(1 for _ in run)}}}" for kind, run in groupby(kinds))
        beginnings.append(head + "".join(body))
    shortest, longest = min(map(len, IBAN_STRUCTURES.values())), max(map(len, IBAN_STRUCTURES.values()))
    return f"(?:{'|'.join(beginnings)})(?:{_LIST_GAP}[0-9A-Za-z]){{{shortest - _DISTINCTIVE},{longest - _DISTINCTIVE}}}"


_DISTINCTIVE = 8
"""Characters of a structure."""
_CHECK_DIGIT = "[0-9OIl]"
_CLASSES = {"n": "[0-9OoIil]", "a": "[A-Za-z]", "c": "[0-9A-Za-z]"}
_VAT = ("ust*", "vat", "tva", "iva", "umsatzsteuer*", "btw*", "mwst*", "p.iva", "partita")
_CARD = (
    "credit card*", "debit card*", "card number*", "card no", "card #", "kreditkarte*", "kartennummer*",
    "carte bancaire", "carte de crédit", "numéro de carte", "carta di credito", "numero della carta", "tarjeta*",
)  # fmt: skip
_SSN = ("ssn", "ssns", "social security*", "social-security*", "social sec*")

IDENTIFIERS: tuple[Recogniser, ...] = (
    Recogniser(
        "IBAN_CODE",
        "iban",
        _iban(),
        check=check.iban,
        shorten=check.cut_to_iban,
        counts_between=check.iban_counts_between,
        score=1,
    ),
    Recogniser(
        "CREDIT_CARD",
        "card",
        rf"[0-6](?:{_LIST_GAP}[0-9]){{11,18}}",
        check=check.card,
        counts_between=check.card_counts_between,
        score=1,
    ),
    Recogniser(
        "CREDIT_CARD",
        "card-said",
        rf"[0-9](?:{_GAP}[0-9]){{12,18}}",
        check=check.grouped,
        context=_CARD,
        needs_context=True,
    ),
    Recogniser(
        "DE_TAX_ID",
        "de-tax-id",
        _number(11, "[1-9]"),
        check=stdnum("de.idnr"),
        jurisdictions=_jurisdictions("de"),
        score=1,
    ),
    Recogniser(
        "DE_SOCIAL_SECURITY",
        "de-pension",
        r"(?i)[0-9]{2}[ /-]?[0-9]{2}[ /-]?[0-9]{2}[ /-]?[0-9]{2}[ /-]?[A-Z][ /-]?[0-9]{2}[ /-]?[0-9]",
        check=check.german_pension,
        jurisdictions=_jurisdictions("de"),
        score=1,
    ),
    Recogniser(
        "DE_HEALTH_INSURANCE",
        "de-insured",
        r"[A-Z][ -]?[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}",
        check=check.german_insured,
        jurisdictions=_jurisdictions("de"),
        score=1,
    ),
    Recogniser(
        "DE_ID_CARD",
        "de-id-card",
        r"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{2}[ ]?[CFGHJKLMNPRTVWXYZ0-9]{3}[ ]?[CFGHJKLMNPRTVWXYZ0-9]{3}"
        r"(?:[ ]?[0-9]D?)?",
        check=check.german_id_card,
        jurisdictions=_jurisdictions("de"),
        score=1,
    ),
    Recogniser(
        "UK_NHS",
        "uk-nhs",
        r"[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{4}",
        check=stdnum("gb.nhs"),
        jurisdictions=_jurisdictions("uk"),
        score=1,
    ),
    Recogniser(
        "UK_NINO",
        "uk-nino",
        r"(?i)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]",
        check=check.british_insured,
        jurisdictions=_jurisdictions("uk"),
        score=0.85,
    ),
    Recogniser(
        "CH_AHV",
        "ch-ahv",
        r"756[ .-]?[0-9]{4}[ .-]?[0-9]{4}[ .-]?[0-9]{2}",
        check=stdnum("ch.ssn"),
        jurisdictions=_jurisdictions("ch"),
        score=1,
    ),
    Recogniser(
        "FR_NIR",
        "fr-nir",
        r"[123478][ .-]?[0-9]{2}[ .-]?[0-9]{2}[ .-]?[0-9][0-9AB][ .-]?[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{2}",
        check=lambda text: check.stdnum("fr.nir")(check.compact(text)),
        jurisdictions=_jurisdictions("fr"),
        score=1,
    ),
    Recogniser(
        "IT_FISCAL_CODE",
        "it-fiscal-code",
        r"(?i)[A-Z]{3}[ -]?[A-Z]{3}[ -]?[0-9LMNPQRSTUV]{2}"
        r"[A-EHLMPRST][0-9LMNPQRSTUV]{2}[ -]?[A-Z][0-9LMNPQRSTUV]{3}[A-Z]",
        check=lambda text: check.stdnum("it.codicefiscale")(check.compact(text)),
        jurisdictions=_jurisdictions("it"),
        score=1,
    ),
    Recogniser(
        "IT_VAT_CODE",
        "it-vat",
        _number(11, between=""),
        check=stdnum("it.iva"),
        context=_VAT,
        needs_context=True,
        jurisdictions=_jurisdictions("it"),
        score=1,
    ),
    Recogniser(
        "ES_NIF",
        "es-dni",
        r"(?i)[0-9]{1,2}[ .]?[0-9]{3}[ .]?[0-9]{3}[ -]{0,2}[A-Z]",
        check=lambda text: check.stdnum("es.dni")(check.compact(text).zfill(9)),
        jurisdictions=_jurisdictions("es"),
        score=1,
    ),
    Recogniser(
        "ES_NIE",
        "es-nie",
        r"(?i)[XYZ][ -]?[0-9]{1}[ .]?[0-9]{3}[ .]?[0-9]{3}[ -]?[A-Z]",
        check=lambda text: check.stdnum("es.nie")(check.compact(text)),
        jurisdictions=_jurisdictions("es"),
        score=1,
    ),
    Recogniser(
        "US_SSN",
        "us-ssn",
        r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}",
        check=lambda text: check.stdnum("us.ssn")(check.only_digits(text)),
        jurisdictions=_jurisdictions("us"),
        score=0.85,
    ),
    Recogniser(
        "US_SSN",
        "us-ssn-form",
        # Of numbers never given too: nothing else is written so.
        r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
        jurisdictions=_jurisdictions("us"),
    ),
    Recogniser(
        "US_SSN",
        "us-ssn-plain",
        r"[0-9]{9}",
        check=stdnum("us.ssn"),
        context=_SSN,
        needs_context=True,
        jurisdictions=_jurisdictions("us"),
    ),
    Recogniser(
        "US_SSN",
        "us-ssn-said",
        # Not by its validity: a number that a word calls one is somebody's, or looks like it.
        r"[0-9]{3}[\s./_·-]{0,3}[0-9]{2}[\s./_·-]{0,3}[0-9]{4}",
        context=_SSN,
        needs_context=True,
        jurisdictions=_jurisdictions("us"),
        score=0.85,
    ),
    Recogniser(
        "US_ITIN",
        "us-itin",
        r"9[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{4}",
        check=lambda text: check.stdnum("us.itin")(check.only_digits(text)),
        context=("itin", "itins", "taxpayer*", "tax id*"),
        needs_context=True,
        jurisdictions=_jurisdictions("us"),
    ),
    Recogniser(
        "AT_SVNR",
        "at-svnr",
        _number(10, "[1-9]", r"[ -]?"),
        check=check.austrian_insured,
        context=("sv", "sv-nr", "svnr", "svnummer", "*versicherung*"),
        needs_context=True,
        jurisdictions=_jurisdictions("at"),
        score=1,
    ),
    Recogniser(
        "NL_BSN",
        "nl-bsn",
        _number(9, between=r"[ .-]?"),
        check=lambda text: check.stdnum("nl.bsn")(check.only_digits(text)),
        context=("bsn*", "burgerservice*", "sofi*"),
        needs_context=True,
        jurisdictions=_jurisdictions("nl"),
        score=1,
    ),
    Recogniser(
        "BE_NN",
        "be-nn",
        r"[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9]{2}[ .-]?[0-9]{3}[ .-]?[0-9]{2}",
        check=lambda text: check.stdnum("be.nn")(check.only_digits(text)),
        jurisdictions=_jurisdictions("be"),
        score=1,
    ),
    Recogniser(
        "PL_PESEL",
        "pl-pesel",
        r"[0-9]{11}",
        check=stdnum("pl.pesel"),
        jurisdictions=_jurisdictions("pl"),
        score=1,
    ),
    Recogniser(
        "EU_VAT",
        "eu-vat",
        r"(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)"
        r"[ -]?[A-Z0-9]{1,2}(?:[ .-]?[A-Z0-9]{1,4}){2,5}",
        check=lambda text: check.stdnum("eu.vat")(check.compact(text)),
        score=1,
    ),
)
