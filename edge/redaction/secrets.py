"""Data: recognisers of secrets, by issuers' formats and by words that announce one."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable

from edge.redaction.recogniser import Recogniser

SECRET = "SECRET"  # noqa: S105
_WORDS_FOR_KEYS = (
    r"(?i:passw(?:or)?d|passwort|kennwort|passphrase|pwd|mot de passe|contraseña|parola chiave"
    r"|api[_ -]?key|apikey|api[_ -]?token|secret(?:[_ -]?(?:access)?[_ -]?key)?"
    r"|client[_ -]?secret|access[_ -]?token|auth[_ -]?token|private[_ -]?key"
    r"|account[_ -]?key|credentials?|zugangsschlüssel)"
)


def _looks_random(text: str) -> bool:
    """Whether a value looks random: at least 3 bits a character and two kinds of characters."""
    counts = Counter(text)
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    kinds = sum((any(map(str.islower, text)), any(map(str.isupper, text)), any(map(str.isdigit, text))))
    return bits >= 3 and kinds >= 2


def _is_password(text: str) -> bool:
    """Whether a text can be a password, and is no stand-in such as `changeme`."""
    return text.strip("<>{}[]*.$").lower() not in _NO_PASSWORDS and len(set(text)) > 2


def _is_told_password(text: str) -> bool:
    """Whether a text can be a password in a sentence: it holds a digit or a sign."""
    return _is_password(text) and not text.rstrip(".!?").isalpha()


_NO_PASSWORDS = frozenset(
    (
        "",
        "password",
        "passwort",
        "required",
        "optional",
        "string",
        "none",
        "null",
        "true",
        "false",
        "example",
        "changeme",
        "reset",
    )
)


def _behind_letter(before: str, text: str, after: str) -> bool:
    """Whether a token counts that may begin within a word (`xghp_…`)."""
    return not after[:1].isalnum()


def _random_behind_letter(before: str, text: str, after: str) -> bool:
    """Whether a token counts whose first letters also end words (`risk-averse`, `task_test_…`).

    Behind a letter its longest part must look random.
    """
    if not _behind_letter(before, text, after):
        return False
    if not before[-1:].isalnum():
        return True
    longest = max(re.split("[-_.]", text), key=len)
    kinds = ["a" if character.islower() else "A" if character.isupper() else "0" for character in longest]
    changes = sum(kind != following for kind, following in itertools.pairwise(kinds))
    return len(longest) >= 12 and len(set(kinds)) == 3 and changes >= 0.35 * len(longest)


def _token(
    name: str, pattern: str, counts_between: Callable[[str, str, str], bool] | None = None
) -> Recogniser:
    return Recogniser(SECRET, name, pattern, sort="token", counts_between=counts_between, score=1)


SECRETS: tuple[Recogniser, ...] = (
    _token("aws-access-key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", _behind_letter),
    _token("github", r"(?:gh[pousr]_[A-Za-z0-9]{36,120}|github_pat_[A-Za-z0-9_]{60,100})", _behind_letter),
    _token("gitlab", r"gl(?:pat|oas|dt|rt|ptt|ft)-[A-Za-z0-9_-]{20,64}", _random_behind_letter),
    _token("slack", r"xox[abeprs]-[A-Za-z0-9-]{10,120}", _behind_letter),
    _token("slack-hook", r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}"),
    _token("stripe", r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,120}", _random_behind_letter),
    _token(
        "openai",
        r"sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]{3,8}-)?[A-Za-z0-9_-]{20,200}",
        _random_behind_letter,
    ),
    _token("google", r"AIza[A-Za-z0-9_-]{35}", _behind_letter),
    _token("huggingface", r"hf_[A-Za-z0-9]{30,50}"),
    _token("npm", r"npm_[A-Za-z0-9]{36}", _behind_letter),
    _token("pypi", r"pypi-AgE[A-Za-z0-9_-]{50,300}", _behind_letter),
    _token("sendgrid", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}", _random_behind_letter),
    _token("twilio", r"(?:AC|SK)[0-9a-f]{32}"),
    _token("vault", r"hv[sbr]\.[A-Za-z0-9_-]{20,200}", _random_behind_letter),
    _token("pulumi", r"pul-[0-9a-f]{40}", _behind_letter),
    _token("digitalocean", r"do[opr]_v1_[0-9a-f]{64}", _behind_letter),
    # Keys of callers and of reviewers.
    _token("isthmus", r"is[kr]_[A-Za-z0-9_-]{20,80}", _random_behind_letter),
    _token(
        "jwt", r"eyJ[A-Za-z0-9_-]{8,200}\.eyJ[A-Za-z0-9_-]{8,200}(?:\.[A-Za-z0-9_-]{0,90})?", _behind_letter
    ),
    Recogniser(
        SECRET,
        "basic-auth",
        r"[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"']{0,64}:([^\s/@\"']{2,128})@",
        sort="token",
        group=1,
        alone=False,
        score=1,
    ),
    Recogniser(
        SECRET,
        "bearer",
        r"(?i:bearer|basic|token) ([A-Za-z0-9+/._~-]{16,300}={0,2})",
        sort="token",
        check=_looks_random,
        group=1,
        alone=False,
        score=0.85,
    ),
    Recogniser(
        SECRET,
        "said-secret",
        rf"{_WORDS_FOR_KEYS}[\"'`*]{{0,2}} {{0,2}}(?:[:=]|:=|=>) {{0,2}}[\"'`*]{{0,2}}([^\s\"'`,;<>]{{6,200}})",
        sort="token",
        check=_is_password,
        group=1,
        alone=False,
        score=0.85,
    ),
    Recogniser(
        SECRET,
        "told-secret",
        rf"{_WORDS_FOR_KEYS}[\"'`*]{{0,2}} (?i:is|was|ist|lautet|war|est|était|è|es|era):? "
        r"[\"'`*]{0,2}([^\s\"'`,;<>]{6,200})",
        sort="token",
        check=_is_told_password,
        group=1,
        alone=False,
    ),
    Recogniser(
        "CARD_CODE",
        "card-code",
        r"(?i:\bcv[vc]2?|\bcid|prüfziffer|kartenprüfnummer|cryptogramme|security code)"
        r"(?i: (?:is|ist|est|code))?[: ]{1,3}([0-9]{3,4})\b",
        sort="token",
        group=1,
        score=0.85,
    ),
    Recogniser(
        SECRET,
        "random-key",
        r"[A-Za-z0-9+/_-]{32,200}={0,2}",
        sort="token",
        check=_looks_random,
        context=(
            "*key",
            "*keys",
            "*secret*",
            "*token*",
            "*schlüssel*",
            "clé",
            "clés",
            "chiave",
            "chiavi",
            "clave*",
            "credential*",
        ),
        needs_context=True,
    ),
)

PRIVATE_KEY_BEGINS = "-----BEGIN"
PRIVATE_KEY = r"-----BEGIN[ +](?:[A-Z0-9]{1,12}[ +]){0,3}PRIVATE[ +]KEY(?:[ +]BLOCK)?-----"
PRIVATE_KEY_ENDS = r"-----END[ +](?:[A-Z0-9]{1,12}[ +]){0,3}PRIVATE[ +]KEY(?:[ +]BLOCK)?-----"
"""In the body of a form a space is a plus sign."""
