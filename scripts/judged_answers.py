"""Generates judged answers of an imaginary model with known error rates, for tests and to try `isthmus calibrate`.

    python -m scripts.judged_answers --seed 7 --answers 1200 --kind fields > answers.jsonl

Each line has what a caller of the gateway would store of an answer (the choice with its log-probabilities), and a
judgement. A function of SHAPES gives the share of right answers for each confidence. Everything else is random.
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
"""The share of right answers for a confidence, as a probability. A calibration cannot fit the last two curves."""


def measure(random: Random) -> float:
    """The confidence of a text or field. Like those of current models, most are near 1."""
    return min(max(random.betavariate(2.2, 0.7), 1e-6), 1 - 1e-6)


def lines(random: Random, count: int, kind: str, shape: str) -> Iterator[dict[str, Any]]:
    """Judged answers. Each becomes one line of the file."""
    share_right = SHAPES[shape]
    for number in range(count):
        common = {"id": f"a-{number}", "model": MODEL, "model_digest": DIGEST, "domain": DOMAIN}
        if kind == "text":
            measure_value = measure(random)
            choice = _text(random, measure_value)
            yield {**common, "right": random.random() < share_right(measure_value), "choice": choice}
            continue
        measures = {name: measure(random) for name in ("iban", "city", "age")}
        rights = {f"/{name}": random.random() < share_right(s) for name, s in measures.items()}
        yield {**common, "right": rights, "choice": _fields(random, measures)}


def _text(random: Random, measure_value: float) -> dict[str, Any]:
    tokens = [f" word{random.randrange(100)}" for _ in range(random.randrange(3, 30))]
    weights = [random.expovariate(1) for _ in tokens]
    scale = -math.log(measure_value) * len(tokens) / math.fsum(weights)
    return _choice([(token, -weight * scale) for token, weight in zip(tokens, weights, strict=True)])


def _fields(random: Random, measures: dict[str, float]) -> dict[str, Any]:
    digits = [str(random.randrange(1000, 9999)) for _ in range(4)]
    values = {
        "iban": ["CH", *digits],
        "city": [random.choice(CITIES)],
        "age": [str(random.randrange(18, 99))],
    }
    tokens: list[tuple[str, float]] = []
    for name, value in values.items():
        quote = "" if name == "age" else '"'
        # The model is usually sure of tokens that the schema fixes.
        tokens.append((f'{", " if tokens else "{"}"{name}": {quote}', -random.expovariate(2)))
        weights = [random.expovariate(1) for _ in value]
        tokens += [
            (token, weight * math.log(measures[name]) / math.fsum(weights))
            for token, weight in zip(value, weights, strict=True)
        ]
        tokens.append((f"{quote}" or "", -random.expovariate(5)))
    return _choice([*((token, logprob) for token, logprob in tokens if token), ("}", -0.01)])


def _choice(tokens: list[tuple[str, float]]) -> dict[str, Any]:
    content = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
        for token, logprob in tokens
    ]
    message = {"role": "assistant", "content": "".join(token for token, _ in tokens)}
    return {"index": 0, "message": message, "logprobs": {"content": content}, "finish_reason": "stop"}


def main() -> None:
    """Write the answers to standard output."""
    parser = argparse.ArgumentParser(description="Judged answers with a known rate of error.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--answers", type=int, default=1200)
    parser.add_argument("--kind", choices=("text", "fields"), default="text")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="sure of itself")
    options = parser.parse_args()
    for line in lines(Random(options.seed), options.answers, options.kind, options.shape):  # noqa: S311
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
