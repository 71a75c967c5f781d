"""Data: recognisers of contact details (email, telephone, IP address, street), birth dates, and names after a title.

These patterns find a name only next to a word that announces it. A model finds the others (`entities.py`); a
language without a model is reported as patterns only.
"""

from __future__ import annotations

import re

from edge.redaction import checksums as check
from edge.redaction.recogniser import Recogniser

_WORD = r"\p{Lu}[\p{L}'’-]{1,24}"
_BETWEEN = r"(?:(?:von|vom|van|der|den|zu|zum|de|del|della|di|da|dos|la|le|du|des|y|bin|al) ){0,2}"
_NAME = rf"{_BETWEEN}{_WORD}(?: {_BETWEEN}{_WORD}){{0,3}}"
_TITLE = (
    r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Mme|Mlle|M|Me|Sig|Sr|Sra|Srta|D|Dña|Dott|Avv|Ing"
    r"|(?i:herrn?|frau|fräulein|miss|sir|lady|madame|monsieur|mademoiselle|maître|sig\.ra|sig\.na|signora|signorina|signore?"
    r"|dott\.ssa|dottoressa|dottor|avvocato|señora|señor|señorita|don|doña|doctor|docteur|professore?|professeure?"
    r"|profesora?|notaire|notar|counsel))"
)
_NAME_FOLLOWS = (
    r"(?i:my name is|name is|i am called|signed by|on behalf of|ich hei(?:ß|ss)e|mein name ist|name des kunden"
    r"|je m'appelle|je m’appelle|nommée?|au nom de|mi chiamo|a nome di|me llamo|mi nombre es|a nombre de"
    r"|full name|surname|nachname|vorname|prénom|cognome|apellidos?|nombre y apellidos|kontoinhaber(?:in)?"
    r"|account holder|titulaire|intestatario|titular|patient(?:in)?|kundin|kunde)"
)
_STREET = (
    rf"(?:{_WORD}(?:str(?:aße|asse|\.)|weg|platz|allee|gasse|damm|ufer|ring|steig|chaussee|markt)"
    rf"|(?:Am|An der|Auf der|Im|In der|Zum|Zur|Unter den) {_WORD}(?: {_WORD})?"
    rf"|(?:{_WORD} ){{1,2}}(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Gasse|Damm|Ufer|Ring)) [0-9]{{1,4}}(?: ?[a-z]\b)?"
)
_RUE = (
    r"[0-9]{1,4}(?: ?(?:bis|ter|quater))?,? (?i:rue|avenue|av\.|boulevard|bd|place|chemin|allée|impasse|quai|route"
    r"|cours|square|passage) (?:(?:de|du|des|la|le|les|d'|l'|de l'|d’|l’) ?){0,2}"
    r"[\p{L}'’-]{2,24}(?: [\p{L}'’-]{2,24}){0,2}"
)
_VIA = (
    rf"(?:[Vv]ia|[Vv]iale|[Pp]iazza|[Pp]iazzale|[Cc]orso|[Ll]argo|[Vv]icolo|[Cc]alle|C/|[Aa]venida|Avda\.|[Pp]laza|[Pp]aseo"
    r"|[Rr]onda|[Cc]amino) (?:(?:de|del|della|dei|la|las|los|di|el) ){0,2}"
    rf"{_WORD}(?: (?:(?:de|del|la|di) ){{0,2}}{_WORD}){{0,2}}"
    r",? (?:n\.? ?º?|n[.°]|nº)? ?[0-9]{1,4}(?:/?[A-Za-z]\b)?"
)
_ROAD = (
    rf"[0-9]{{1,5}}[A-Za-z]? (?:{_WORD} ){{1,3}}"
    r"(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|Ln|Drive|Dr\.?|Close|Way|Court|Crescent|Terrace"
    r"|Gardens|Square|Boulevard|Blvd|Place|Grove|Hill|Row)"
)
_MONTH = (
    r"(?i:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|sept|okt|oct|nov|de[zc]|january|february|march|april|june|july|august|september"
    r"|october|november|december|januar|jänner|februar|märz|juni|juli|oktober|dezember|janvier|février|mars|avril|mai|juin"
    r"|juillet|août|septembre|octobre|novembre|décembre|gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre"
    r"|ottobre|dicembre|enero|febrero|abril|mayo|junio|julio|septiembre|octubre|noviembre|diciembre)"
)
_BORN = (
    "born", "birth", "birthday*", "birthdate*", "dob", "d.o.b", "geboren*", "geb", "geb.", "*geburt*", "jahrgang*",
    "né le", "née le", "née à", "né à", "naissance", "nato", "nata", "nascita", "nacid*", "nacimiento", "fecha de nac*",
)  # fmt: skip
_PHONE = (
    "tel", "tels", "*telefon*", "*téléphone*", "*phone*", "mobil*", "cell", "cells", "*cellular*", "*fax*", "*handy*",
    "*rufnummer*", "*anruf*", "*rufen*", "ruf", "call", "calls", "called", "calling", "dial", "dials", "dialed",
    "dialled", "ring", "text me", "messages to", "message to", "answering at", "reach me*", "reach us*", "reach him*",
    "reach her*", "reached at", "hotline*", "switchboard", "desk", "office", "direct line", "appel", "appelez",
    "appeler", "appelle", "portable", "numéro", "chiam*", "cellulare*", "*telèfon*", "teléfono*", "llam*", "llám*",
    "móvil*", "whatsapp*", "signal", "sms", "*erreich*", "joign*", "joindre", "contact*", "kontakt*", "registered",
)  # fmt: skip
_BEHIND_PHONE = (
    "office",
    "fax",
    "mobile",
    "cell",
    "home",
    "work",
    "desk",
    "main",
    "direct",
    "mobil",
    "privat",
    "büro",
)
_NO_PHONE = (
    "invoice*", "order*", "ref", "refs", "reference*", "ticket*", "case", "cases", "account*", "contract*",
    "customer*", "policy", "serial*", "item*", "article*", "tracking*", "shipment*", "parcel*", "batch", "lot",
    "part", "isbn", "issn", "version*", "zip", "postcode*", "plz", "transaction*", "booking*", "employee id",
    "*rechnung*", "*auftrag*", "bestell*", "*vorgang*", "aktenzeichen*", "*vertrag*", "kunden*", "konto*", "artikel*",
    "serien*", "sendung*", "beleg*", "facture*", "commande*", "contrat*", "dossier*", "référence*", "client*",
    "fattura*", "ordine*", "ordini", "contratto*", "pratica*", "factura*", "pedido*", "contrato*", "expediente*",
    "referencia*", "riferimento*",
)  # fmt: skip
_EXTENSION = r"(?:[ ,;]{0,2}(?i:x|ext\.?|extension|#|durchwahl|poste|int\.) ?[0-9]{1,6})?"

_LOCAL = r"\b[A-Za-z][A-Za-z0-9._%+'-]{0,63}"
_SUFFIX = (
    r"(?i:com|org|net|edu|gov|eu|info|biz|io|ai|dev|app|de|at|ch|li|fr|it|es|pt|uk|ie|nl|be|lu|pl|cz|dk|se|no|fi|us"
    r"|example)"
)
_DOMAIN = rf"(?:[A-Za-z0-9-]{{1,40}}\.){{1,3}}{_SUFFIX}"
_DOT = r"(?:\.| ?[\[({](?i:dot|punkt|point|punto)[\])}] ?)"
_MAIL_PROVIDER = (
    r"(?i:gmail|googlemail|outlook|hotmail|live|yahoo|icloud|me|msn|aol|gmx|web|t-online|freenet|posteo|mailbox"
    r"|proton|protonmail|pm|orange|free|wanadoo|laposte|sfr|libero|virgilio|bluewin|hey|zoho|fastmail)"
    r"\.(?i:com|org|net|de|at|ch|fr|it|es|co\.uk|me|eu)"
)
_MAIL_FOLLOWS = (
    r"\b(?i:e-?mails?|mail|courriel)(?: ?[:=] ?| (?i:to|an|à) |[ -]?(?i:address|adresse)"
    r"(?: (?i:is|ist|est|lautet))?:? )"
)


def _mailbox(text: str) -> str:
    """The word before `at` or `@`."""
    return re.split(r"[ @]", text, maxsplit=1)[0]


def _is_mailbox(text: str) -> bool:
    """Whether the word before `at` or `@` can be a mailbox's name; in `Speaker @ example.com` it is none."""
    name = _mailbox(text)
    return _has_digit_or_sign(text) or (name[:1].islower() and name not in _NO_MAILBOXES)


def _has_digit_or_sign(text: str) -> bool:
    """Whether a digit or a sign within the word before `at` tells it from a word: `ann.smith`, `ann85`."""
    name = _mailbox(text)
    return len(name) > 4 and re.search(r"[0-9]|[A-Za-z0-9]{2}[._+-][A-Za-z0-9]", name) is not None


_NO_MAILBOXES = frozenset(
    (
        "us", "me", "him", "her", "them", "you", "it", "uns", "mich", "here", "now", "today", "tonight", "live",
        "online", "available", "hosted", "listed", "found", "party", "visit", "meet", "work", "works",
        "working", "job", "jobs", "talk", "speaker", "speaking", "out", "up", "on", "in", "back", "find",
        "check", "see", "try", "look", "and", "or", "is", "are", "was", "were", "the", "our", "your", "my",
    )
)  # fmt: skip

CONTACTS: tuple[Recogniser, ...] = (
    Recogniser(
        "EMAIL_ADDRESS",
        "email",
        r"[\p{L}\p{N}._%+'-]{1,64}@(?:[\p{L}\p{N}-]{1,40}\.){1,4}\p{L}{2,24}",
        sort="token",
        score=1,
    ),
    Recogniser(
        "EMAIL_ADDRESS",
        "email-at-in-brackets",
        rf"{_LOCAL} ?[\[({{] ?(?i:at) ?[\])}}] ?(?:[A-Za-z0-9-]{{1,40}}{_DOT}){{1,4}}[A-Za-z]{{2,24}}",
        sort="free",
        score=0.85,
    ),
    Recogniser(
        "EMAIL_ADDRESS",
        "email-at-with-spaces",
        rf"{_LOCAL} ?@ {_DOMAIN}",
        sort="free",
        check=_is_mailbox,
        score=0.85,
    ),
    Recogniser(
        "EMAIL_ADDRESS",
        "email-at-provider",
        rf"{_LOCAL} (?i:at) {_MAIL_PROVIDER}",
        sort="free",
        check=_has_digit_or_sign,
    ),
    Recogniser(
        "EMAIL_ADDRESS",
        "email-at-said",
        rf"{_MAIL_FOLLOWS}({_LOCAL} (?i:at) {_DOMAIN})",
        sort="free",
        check=_is_mailbox,
        group=1,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-international",
        rf"(?:\+|00|011[ -])[1-9](?:[\s()./-]{{0,3}}[0-9]){{6,13}}{_EXTENSION}",
        score=0.85,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-national",
        rf"\(?0[1-9](?:[ ()./-]{{0,2}}[0-9]){{7,11}}{_EXTENSION}",
        context=_PHONE,
        against=_NO_PHONE,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-us",
        rf"(?:1[ .-])?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}[ .-])[2-9][0-9]{{2}}[ .-][0-9]{{4}}{_EXTENSION}"
        rf"|(?:1[ .-])?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}[.-])[0-9]{{3}}[.-][0-9]{{4}}{_EXTENSION}",
        context=_PHONE,
        against=_NO_PHONE,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-area",
        rf"\([0-9]{{2,5}}\) ?[0-9]{{2,4}}(?:[ .-][0-9]{{2,4}}){{1,3}}{_EXTENSION}",
        context=_PHONE,
        against=_NO_PHONE,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-pairs",
        r"[0-9]{2}(?:-[0-9]{2}){3,4}",
        context=_PHONE,
        against=_NO_PHONE,
    ),
    Recogniser(
        "PHONE_NUMBER",
        "phone-said",
        rf"\(?[0-9](?:[ ()./-]{{0,2}}[0-9]){{5,12}}{_EXTENSION}",
        check=check.is_not_date,
        context=_PHONE,
        against=_NO_PHONE,
        after=_BEHIND_PHONE,
        needs_context=True,
    ),
    Recogniser(
        "IP_ADDRESS", "ipv4", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", sort="token", check=check.ipv4, score=0.85
    ),
    Recogniser(
        "IP_ADDRESS",
        "ipv6",
        r"(?i)(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}",
        sort="token",
        check=check.ipv6,
        score=0.85,
    ),
    Recogniser("MAC_ADDRESS", "mac", r"(?i)(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", sort="token", score=0.85),
    Recogniser(
        "DATE_OF_BIRTH",
        "born-numbers",
        r"[0-9]{1,4}[./-] ?[0-9]{1,2}[./-] ?[0-9]{2,4}",
        check=check.birth_date,
        context=_BORN,
        needs_context=True,
    ),
    Recogniser(
        "DATE_OF_BIRTH",
        "born-words",
        rf"[0-9]{{1,2}}(?:\.|st|nd|rd|th|er|º)? (?:de )?{_MONTH}\.?,? (?:de |del )?[0-9]{{4}}"
        rf"|{_MONTH}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}",
        sort="free",
        context=_BORN,
        needs_context=True,
    ),
    Recogniser(
        "PERSON",
        "person-title",
        rf"\b{_TITLE}\.? (?:(?:Dr|Prof|med|jur|ing|rer|nat|h\.c)\.? ){{0,3}}({_NAME})",
        sort="free",
        group=1,
    ),
    Recogniser("PERSON", "person-said", rf"\b{_NAME_FOLLOWS}:? ({_NAME})", sort="free", group=1),
    Recogniser("ADDRESS", "street-de", _STREET, sort="free"),
    Recogniser("ADDRESS", "street-fr", _RUE, sort="free"),
    Recogniser("ADDRESS", "street-it-es", _VIA, sort="free"),
    Recogniser("ADDRESS", "street-en", _ROAD, sort="free"),
    Recogniser(
        "ADDRESS",
        "uk-postcode",
        r"[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][ABD-HJLNP-UW-Z]{2}",
        jurisdictions=frozenset(["uk"]),
    ),
)
