"""Keys of a model's `config.json`, checked as they are read, and the shape that most decoders have."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import InputError

UNGATED = frozenset(("nemotron_h", "bert", "roberta", "xlm-roberta"))
"""Feed-forward layers of two matrices; all others have a gate, so three."""
MOST_LAYERS = 10_000
"""Of a model, as far as a configuration is believed."""


class Read:
    """Keys of one configuration, checked as they are read."""

    def __init__(self, told: dict[str, Any], where: str) -> None:
        self.told, self.where = told, where
        self.kind = str(told.get("model_type", ""))

    def has(self, *names: str) -> bool:
        return any(name in self.told for name in names)

    def number(self, *names: str, default: int | None = None) -> int:
        """The first of `names` that is there. Raises `InputError` where none is, or it is no positive integer."""
        for name in names:
            if name in self.told:
                value = self.told[name]
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
        """How many; each is listed with what it keeps, so a count that no model has would fill the memory."""
        value = self.positive("num_hidden_layers", *names)
        if value > MOST_LAYERS:
            what = f"`num_hidden_layers` is {value}, and no model has more than {MOST_LAYERS}"
            raise InputError(what, where=self.where, fix="Take the model's own file")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self.told.get(name, default))


class Shape:
    """What most decoders have in common."""

    def __init__(self, read: Read) -> None:
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
        """Parameters of one layer's attention: queries (and their gate), keys, values and the output."""
        kv, dim = kv_heads or self.kv_heads, head_dim or self.head_dim
        return self.hidden * dim * (self.heads * (3 if gate else 2) + 2 * kv)

    def feed_forward(self, width: int, matrices: int) -> int:
        return matrices * self.hidden * width
