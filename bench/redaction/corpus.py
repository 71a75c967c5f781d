"""Generates the labelled sentences. As a program it prints each as a line of JSON.

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
    """A sentence and the spans of its entities, in characters."""

    language: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def sentences(held_out: bool = True, seed: int = SEED, per_language: int = EACH) -> Iterator[Sentence]:
    """`per_language` sentences of each language, from its templates in turn. The same arguments give the same ones."""
    source = values.ValueSource(seed)
    source.held_out = held_out
    for language in templates.HELD_OUT:
        language_templates = templates.sentences_of(
            templates.HELD_OUT if held_out else templates.DEVELOPED, language
        )
        for number in range(per_language):
            yield _fill(language_templates[number % len(language_templates)], language, source)


def _fill(template: str, language: str, source: values.ValueSource) -> Sentence:
    text, spans, end = "", [], 0
    for place in _PLACE.finditer(template):
        name = place.group(1)
        text += template[end : place.start()]
        if name[0] == "D" and name[1:].isdigit():
            text += values.draw(source, 1, "123456789") + values.draw(source, int(name[1:]) - 1)
        else:
            value = values.GENERATORS[name](source, language)
            spans.append((len(text), len(text) + len(value), name))
            text += value
        end = place.end()
    return Sentence(language, text + template[end:], tuple(spans))


def main(arguments: list[str]) -> int:
    """Print the sentences."""
    parser = argparse.ArgumentParser(prog="bench.redaction.corpus")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--each", type=int, default=EACH, help="sentences of each language")
    parser.add_argument(
        "--developed", action="store_true", help="of the templates that rules are developed on"
    )
    options = parser.parse_args(arguments)
    for sentence in sentences(not options.developed, options.seed, options.each):
        print(
            json.dumps(
                {"language": sentence.language, "text": sentence.text, "spans": sentence.spans},
                ensure_ascii=False,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
