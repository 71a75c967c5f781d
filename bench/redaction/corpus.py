"""The labelled sentences, a line of JSON each.

python -m bench.redaction.corpus [--seed N] [--each N] [--developed]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.redaction import templates, values

SEED, EACH = 20261126, 400
_PLACE = re.compile(r"\{([A-Z_]+[0-9]?)\}")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the spans of what it holds, in characters."""

    language: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def sentences(kept: bool = True, seed: int = SEED, each: int = EACH) -> Iterator[Sentence]:
    """`each` of every language, the templates in turn. The same arguments give the same sentences."""
    lot = values.Lot(seed)
    lot.kept = kept
    for language in templates.KEPT:
        of = templates.of(templates.KEPT if kept else templates.DEVELOPED, language)
        for number in range(each):
            yield _filled(of[number % len(of)], language, lot)


def _filled(template: str, language: str, lot: values.Lot) -> Sentence:
    text, spans, at = "", [], 0
    for place in _PLACE.finditer(template):
        name = place.group(1)
        text += template[at : place.start()]
        if name[0] == "D" and name[1:].isdigit():
            text += values.drawn(lot, 1, "123456789") + values.drawn(lot, int(name[1:]) - 1)
        else:
            value = values.MADE[name](lot, language)
            spans.append((len(text), len(text) + len(value), name))
            text += value
        at = place.end()
    return Sentence(language, text + template[at:], tuple(spans))


def main(arguments: list[str]) -> int:
    """Print them."""
    parser = argparse.ArgumentParser(prog="bench.redaction.corpus")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--each", type=int, default=EACH, help="sentences of each language")
    parser.add_argument(
        "--developed", action="store_true", help="of the templates that rules are developed on"
    )
    options = parser.parse_args(arguments)
    for one in sentences(not options.developed, options.seed, options.each):
        print(
            json.dumps({"language": one.language, "text": one.text, "spans": one.spans}, ensure_ascii=False)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
