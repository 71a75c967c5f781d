"""Examples as tokens of the base model. A longer example than the recipe allows is refused, never cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.data_sets import Example
from trainer.errors import TrainerError

IGNORED = -100
"""Label of a token that is not learned: every token but those of the answer."""


@dataclass(frozen=True)
class Tokenised:
    """An example in tokens."""

    ids: list[int]
    prompt: int
    """Tokens before the answer."""

    @property
    def labels(self) -> list[int]:
        """The tokens to learn."""
        return [IGNORED] * self.prompt + self.ids[self.prompt :]


def tokenise(tokenizer: Any, example: Example, limit: int | None = None) -> Tokenised:
    """An example in the base model's chat template.

    Args:
        tokenizer: of the base model.
        example: the example.
        limit: tokens that it may have. None: any number.

    Raises:
        TrainerError: it is too long, or its answer cannot be told from its question. The example is not quoted.
    """
    messages = [{"role": role, "content": text} for role, text in example.messages]
    prompt = _ids(tokenizer, messages, is_prompt=True)
    ids = _ids(tokenizer, [*messages, {"role": "assistant", "content": example.answer}], is_prompt=False)
    if ids[: len(prompt)] != prompt or len(ids) == len(prompt):
        raise TrainerError(
            "input",
            "the chat template of the base model changes the question when an answer follows, so the answer cannot "
            "be learned alone",
            fix="Take another base model",
        )
    if limit is not None and len(ids) > limit:
        raise TrainerError(
            "input",
            f"an example has {len(ids)} tokens, and {limit} are allowed (digest {example.sha256[:12]})",
            "training.max_tokens",
            "Raise it, or shorten the example",
        )
    return Tokenised(ids, len(prompt))


def _ids(tokenizer: Any, messages: list[dict[str, str]], *, is_prompt: bool) -> list[int]:
    return list(
        tokenizer.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=is_prompt, return_dict=False
        )
    )
