"""Reads and checks keys of a model's `config.json`, and the shape that most decoders have."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import InputError

UNGATED = frozenset(("nemotron_h", "bert", "roberta", "xlm-roberta"))
"""Model types whose feed-forward layers have two matrices. All others have a gate, so three."""
MOST_LAYERS = 10_000
"""A configuration with more layers is rejected."""


class ConfigReader:
    """Keys of one configuration, checked when they are read."""

    def __init__(self, config: dict[str, Any], where: str) -> None:
        self.config, self.where = config, where
        self.kind = str(config.get("model_type", ""))

    def has(self, *names: str) -> bool:
        return any(name in self.config for name in names)

    def number(self, *names: str, default: int | None = None) -> int:
        """Return the first of `names` that exists. Raises `InputError` if none does, or it is no natural number."""
        for name in names:
            if name in self.config:
                value = self.config[name]
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise InputError(
                        f"`{name}` is {value!r}, not a whole number of at least 0",
                        where=self.where,
                        fix="Take the file from the model's own repository",
                    )
                return value
        if default is None:
            raise InputError(
                f"`{names[0]}` is missing",
                where=self.where,
                fix="Take the file from the model's own repository",
            )
        return default

    def positive(self, *names: str, default: int | None = None) -> int:
        value = self.number(*names, default=default)
        if value == 0:
            raise InputError(f"`{names[0]}` is 0", where=self.where, fix="Take the model's own file")
        return value

    def layers(self, *names: str) -> int:
        """Return the number of layers. Raises `InputError` above `MOST_LAYERS`, which would fill the memory."""
        value = self.positive("num_hidden_layers", *names)
        if value > MOST_LAYERS:
            problem = f"`num_hidden_layers` is {value}, more than the maximum of {MOST_LAYERS}"
            raise InputError(problem, where=self.where, fix="Take the model's own file")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self.config.get(name, default))


class Shape:
    """What most decoders have in common."""

    def __init__(self, read: ConfigReader) -> None:
        self.layers = read.layers()
        self.hidden = read.positive("hidden_size")
        self.heads = read.positive("num_attention_heads")
        self.head_dim = read.positive("head_dim", "attention_head_dim", default=self.hidden // self.heads)
        self.kv_heads = read.positive("num_key_value_heads", default=self.heads)
        if read.kind == "nemotron_h" and self.kv_heads > self.heads:
            self.kv_heads = self.heads

    def attention(
        self, kv_heads: int | None = None, head_dim: int | None = None, *, gate: bool = False
    ) -> int:
        """Return the parameters of a layer's attention: queries (and their gate), keys, values and output."""
        kv, dim = kv_heads or self.kv_heads, head_dim or self.head_dim
        return self.hidden * dim * (self.heads * (3 if gate else 2) + 2 * kv)

    def feed_forward(self, width: int, matrices: int) -> int:
        return matrices * self.hidden * width
