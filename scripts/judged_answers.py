"""Judged answers of a model that does not exist, whose errors are known: for tests, and to try `isthmus calibrate`.

    python -m scripts.judged_answers --seed 7 --answers 1200 --kind fields > answers.jsonl

Each line is what a gateway's caller would keep of an answer (the choice with its log-probabilities), and a judgement.
How often an answer of a measure is right is one of the SHAPES below; all else is drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

MODEL, DIGEST, DOMAIN = "example/model-8b", "sha256:" + "5" * 64, "onboarding"
CITIES = ("Bern", "Basel", "Chur", "Zürich", "Genève")


def _odds(value: float) -> float:
    return 1 / (1 + math.exp(-value))


SHAPES: dict[str, Callable[[float], float]] = {
    "honest": lambda s: s,
    "sure of itself": lambda s: _odds(0.8 * math.log(s / (1 - s)) - 1.2),
    "too modest": lambda s: _odds(1.3 * math.log(s / (1 - s)) + 0.8),
    "never below": lambda s: 0.35 + 0.63 * s**4,
    "two kinds": lambda s: 0.97 if s > 0.75 else 0.55,
}
"""By the measure as a probability, the share that is right. The last two are no curves that a calibration fits."""


def measure(random: Random) -> float:
    """Of an answer's text or field, as a model of today has them: most near 1."""
    return min(max(random.betavariate(2.2, 0.7), 1e-6), 1 - 1e-6)


def lines(random: Random, count: int, kind: str, shape: str) -> Iterator[dict[str, Any]]:
    """Judged answers, one a line of the file."""
    truth = SHAPES[shape]
    for number in range(count):
        of = {"id": f"a-{number}", "model": MODEL, "model_digest": DIGEST, "domain": DOMAIN}
        if kind == "text":
            s = measure(random)
            choice = _text(random, s)
            yield {**of, "right": random.random() < truth(s), "choice": choice}
            continue
        sure = {name: measure(random) for name in ("iban", "city", "age")}
        rights = {f"/{name}": random.random() < truth(s) for name, s in sure.items()}
        yield {**of, "right": rights, "choice": _fields(random, sure)}


def _text(random: Random, s: float) -> dict[str, Any]:
    words = [f" word{random.randrange(100)}" for _ in range(random.randrange(3, 30))]
    parts = [random.expovariate(1) for _ in words]
    scale = -math.log(s) * len(words) / math.fsum(parts)
    return _choice([(word, -part * scale) for word, part in zip(words, parts, strict=True)])


def _fields(random: Random, sure: dict[str, float]) -> dict[str, Any]:
    digits = [str(random.randrange(1000, 9999)) for _ in range(4)]
    values = {
        "iban": ["CH", *digits],
        "city": [random.choice(CITIES)],
        "age": [str(random.randrange(18, 99))],
    }
    tokens: list[tuple[str, float]] = []
    for name, value in values.items():
        quote = "" if name == "age" else '"'
        # The model is sure of what the schema leaves it no choice in, and now and then of nothing.
        tokens.append((f'{", " if tokens else "{"}"{name}": {quote}', -random.expovariate(2)))
        parts = [random.expovariate(1) for _ in value]
        tokens += [
            (word, part * math.log(sure[name]) / math.fsum(parts))
            for word, part in zip(value, parts, strict=True)
        ]
        tokens.append((f"{quote}" or "", -random.expovariate(5)))
    return _choice([*((word, logprob) for word, logprob in tokens if word), ("}", -0.01)])


def _choice(tokens: list[tuple[str, float]]) -> dict[str, Any]:
    content = [
        {"token": word, "logprob": logprob, "bytes": list(word.encode()), "top_logprobs": []}
        for word, logprob in tokens
    ]
    message = {"role": "assistant", "content": "".join(word for word, _ in tokens)}
    return {"index": 0, "message": message, "logprobs": {"content": content}, "finish_reason": "stop"}


def main() -> None:
    """Write them to standard output."""
    parser = argparse.ArgumentParser(description="Judged answers with a known rate of error.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--answers", type=int, default=1200)
    parser.add_argument("--kind", choices=("text", "fields"), default="text")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="sure of itself")
    asked = parser.parse_args()
    for line in lines(Random(asked.seed), asked.answers, asked.kind, asked.shape):  # noqa: S311
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
