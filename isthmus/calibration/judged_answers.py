"""A file of judged answers: JSON lines, one an answer, all of one model's weights, one domain and one kind."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edge.confidence.calibration import logs
from edge.confidence.measure import MEASURE, Kind, Unmeasured, measure_answer, read_choice
from edge.confidence.tokens import NoTokens, Tokens
from isthmus.core.errors import InputError

GIVEN = "given"
_KEYS = frozenset(["id", "model", "model_digest", "domain", "right", "choice", "score", "note"])


@dataclass(frozen=True)
class Answer:
    """Natural logarithms of its measures, and which of them were right: one each, or one a field."""

    measures: tuple[float, ...]
    rights: tuple[bool, ...]

    @property
    def right(self) -> bool:
        """All of it."""
        return all(self.rights)


class Of(NamedTuple):
    """What an answer is of, and what all of a file must be of."""

    model: str
    model_digest: str | None
    domain: str
    kind: Kind
    measure: str


@dataclass(frozen=True)
class Judged:
    """The file's answers, and what they are of."""

    of: Of
    answers: list[Answer]
    sha256: str


def read_answers(path: Path) -> Judged:
    """The file; raises InputError that names the line."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(
            f"the judged answers cannot be read: {reason}", where=str(path), fix="Give a file of JSON lines"
        ) from None
    of: Of | None = None
    answers: list[Answer] = []
    ids: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        said_of, answer, name = _parse_line(line, where)
        if of is not None and said_of != of:
            _raise_mixed(of, said_of, where)
        if name is not None and ids.setdefault(name, number) != number:
            raise InputError(
                f"the answer {name!r} was judged in line {ids[name]} already",
                where=where,
                fix="Keep one judgement of each answer: the same one twice would count as two",
            )
        of = said_of
        answers.append(answer)
    if of is None:
        raise InputError(
            "there is no judged answer in it", where=str(path), fix="docs/confidence.md shows a line"
        )
    return Judged(of, answers, hashlib.sha256(raw).hexdigest())


def _raise_mixed(before: Of, now: Of, where: str) -> None:
    kinds = "kinds ('text': `right` is true or false; 'fields': `right` has a value for each field)"
    names = ("models", "weights (model_digest)", "domains", kinds, "measures")
    property_name, old, new = next(
        names for names in zip(names, before, now, strict=True) if names[1] != names[2]
    )
    raise InputError(
        f"the file mixes {property_name}: {old!r} before this line, {new!r} in it",
        where=where,
        fix="Put each into its own file, and calibrate each alone",
    )


def _parse_line(line: str, where: str) -> tuple[Of, Answer, str | None]:
    try:
        record = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is no JSON: {error}", where=where, fix="Write one JSON object a line") from None
    if not isinstance(record, dict):
        raise InputError("it is no JSON object", where=where, fix="Write one JSON object a line")
    if unknown_keys := sorted(set(record) - _KEYS):
        raise InputError(
            f"the key {unknown_keys[0]!r} is unknown",
            where=where,
            fix=f"Known are {', '.join(sorted(_KEYS))}",
        )
    for key in ("model", "domain"):
        if not isinstance(record.get(key), str) or not record[key]:
            raise InputError(f"`{key}` must be text", where=where, fix=f"Say of which {key} the answer is")
    digest = record.get("model_digest")
    if digest is not None and not (isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)):
        raise InputError(
            "`model_digest` must be sha256: and 64 hexadecimal digits",
            where=where,
            fix="Give the digest of the weights' manifest, as the gateway's route has it",
        )
    if ("choice" in record) == ("score" in record):
        raise InputError(
            "it has `choice` and `score`, or neither",
            where=where,
            fix="Give the choice that the gateway answered, with its logprobs, or a score of your own making",
        )
    measure = MEASURE if "choice" in record else GIVEN
    rights = _parse_rights(record.get("right"), where)
    kind: Kind = "text" if set(rights) == {""} else "fields"
    measures = (
        _measure_choice(record["choice"], kind, where)
        if "choice" in record
        else _given_measures(record["score"], where)
    )
    if unpaired := sorted(set(measures) ^ set(rights)):
        name = f"field {unpaired[0]!r}" if unpaired[0] else "the whole answer"
        scored = unpaired[0] in measures
        present, absent = ("a score", "no judgement") if scored else ("a judgement", "no score")
        raise InputError(
            f"{name} has {present}, but {absent}",
            where=where,
            fix=f"Give {name} {absent.removeprefix('no ')} too, or remove its {present.removeprefix('a ')}. A text is "
            "judged and scored as a whole; a structured answer by each of its fields, under its JSON pointer",
        )
    names = sorted(measures)
    answer = Answer(tuple(measures[name] for name in names), tuple(rights[name] for name in names))
    name = record.get("id")
    of = Of(record["model"], digest, record["domain"], kind, measure)
    return of, answer, None if name is None else str(name)


def _parse_rights(right: Any, where: str) -> dict[str, bool]:
    rights: dict[str, Any] = right if isinstance(right, dict) and right else {"": right}
    if not all(isinstance(value, bool) for value in rights.values()):
        raise InputError(
            "`right` is neither true nor false",
            where=where,
            fix='Write true or false, or one for each field, as {"/iban": true}',
        )
    return rights


def _given_measures(score: Any, where: str) -> dict[str, float]:
    scores: dict[str, Any] = score if isinstance(score, dict) and score else {"": score}
    for value in scores.values():
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 1:
            raise InputError(
                f"the score {value!r} is not from 0 to 1",
                where=where,
                fix="Give a number from 0 to 1, or leave the line out",
            )
    return {name: logs(math.log(value) if value else -math.inf)[0] for name, value in scores.items()}


def _measure_choice(choice: Any, kind: Kind, where: str) -> dict[str, float]:
    """As the edge measures it: by the same code."""
    tokens = Tokens()
    try:
        if not isinstance(choice, dict):
            raise Unmeasured("unreadable")
        tokens.take(choice.get("logprobs"))
        return measure_answer(read_choice(choice), tokens, structured=kind == "fields")
    except NoTokens as error:
        why = str(error)
    except Unmeasured as error:
        why = _WHY[str(error)]
    raise InputError(
        f"the answer cannot be scored: {why}",
        where=where,
        fix="Ask the gateway again with `logprobs: true` and set `choice` to `choices[0]` of its response, "
        "unchanged; or remove the line",
    )


_WHY = {
    "unreadable": "`choice` is not an item of `choices` in a chat response",
    "cut": "it was cut, or stopped by a filter",
    "not of these tokens": "its log-probabilities are of another text",
    "no JSON": "`right` judges fields, but the answer is not JSON",
}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
