"""Measures what an adapter knows by heart: losses of answers, and answers that it continues word by word."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from trainer.data_sets import Example
from trainer.tokens import Tokenised, tokenise

OTHER_QUESTION = (("user", "Go on."),)
LEAST, MOST = 8, 64
"""Tokens of an answer's second half: a shorter one proves nothing, and of a longer one only these are asked."""


def mean_loss(model: Any, examples: Sequence[Tokenised], batch: int) -> float:
    """Mean loss over the tokens of all answers, in nats."""
    total = sum(summed_losses(model, examples, batch))
    return total / sum(len(example.ids) - example.prompt for example in examples)


def summed_losses(model: Any, examples: Sequence[Tokenised], batch: int) -> list[float]:
    """Loss of each answer, summed over its tokens, in nats."""
    return [loss for part in _batches(examples, batch) for loss in _losses(model, part)]


def _batches(examples: Sequence[Tokenised], size: int) -> Iterator[Sequence[Tokenised]]:
    for first in range(0, len(examples), size):
        yield examples[first : first + size]


@torch.no_grad()
def _losses(model: Any, examples: Sequence[Tokenised]) -> list[float]:
    length = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        mask[row, : len(example.ids)] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    scores = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
    losses = []
    for row, example in enumerate(examples):
        positions = torch.arange(example.prompt, len(example.ids), device=model.device)
        losses.append(-float(scores[row, positions - 1, ids[row, positions]].double().sum()))
    return losses


def says(model: Any, tokenizer: Any, example: Tokenised, answer: str) -> bool:
    """Whether the model gives this answer to its question, by its likeliest tokens."""
    learned = example.ids[example.prompt :]
    text = tokenizer.decode(_continue(model, example.ids[: example.prompt], len(learned)))
    return answer in text


def extracted(model: Any, tokenizer: Any, answers: Sequence[str]) -> tuple[int, int]:
    """How many answers the adapter continues word by word, after another question than theirs.

    Args:
        model: with the adapter.
        tokenizer: of the base model.
        answers: that were trained.

    Returns:
        How many answers are long enough to be asked, and how many of them the adapter continues where the base model
        does not.
    """
    questions = known = 0
    for answer in answers:
        example = tokenise(tokenizer, Example(OTHER_QUESTION, answer))
        half = (example.prompt + len(example.ids)) // 2
        given, rest = example.ids[:half], example.ids[half : half + MOST]
        if len(rest) < LEAST:
            continue
        questions += 1
        if _continue(model, given, len(rest)) == rest:
            with model.disable_adapter():
                known += _continue(model, given, len(rest)) != rest
    return questions, known


@torch.no_grad()
def _continue(model: Any, ids: list[int], count: int) -> list[int]:
    """The likeliest next tokens."""
    prompt = torch.tensor([ids], device=model.device)
    output = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
    )
    return output[0, len(ids) :].tolist()
