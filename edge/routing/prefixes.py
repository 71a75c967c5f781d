"""Estimates which beginnings of prompts each replica has in its prefix cache, and chooses the replica by them.

As in llm-d's approximate mode, the gateway remembers what it sent where. It cuts a prompt's text into chunks and hashes
each one together with those before it. It keeps hashes only, under keys of the process, so nobody can tell from
them what was sent. The estimate needs no message from the replicas and none between gateways.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic_core import to_json

CHUNK = 256
"""Characters of a chunk: about 64 tokens of English text, or four of vLLM's blocks."""
CHUNK_TOKENS = 64
MOST_CHUNKS = 4096
"""Chunks of a prompt that count: about 260,000 tokens."""
USUAL_TOKENS = 500_000
"""Tokens that a replica's cache is assumed to hold if it does not report its size: as in llm-d, an 80 GB GPU's."""
MOST_ENTRIES = 32_768
"""Chunks that are remembered of one replica, about 4 MB: two million tokens."""
SLACK = 1.25
"""A replica that runs more than so many times the mean gets no request for its cached prefixes."""
BUSY_CHUNKS = 1
"""Chunks that are computed again rather than wait behind one more request. Set by `python -m bench.prefix_routing`."""
REUSE_MEMORY, LEAST_REUSE = 0.05, 0.01
"""Weight of a request in the average share of prompts that is cached somewhere, and the average below which nothing is
shared. Then the load alone decides, which spreads requests better."""
_SEVERAL = -1
_SECRET = secrets.randbits(63)


class Prompt:
    """The text of a request, as hashes of its chunks. Each hash covers everything before it."""

    def __init__(self, seed: str, text: str) -> None:
        """`seed`: what separates caches beside the text, such as the salt and the model's name."""
        self._seed, self._text = seed, text
        chunks: list[int] = []
        # Python's hash of a string is SipHash under a key of the process. Text never has to be encoded for it.
        hashed = hash((_SECRET, seed))
        for start in range(0, min(len(text), MOST_CHUNKS * CHUNK) - CHUNK + 1, CHUNK):
            hashed = hash((hashed, text[start : start + CHUNK]))
            chunks.append(hashed)
        self.chunks = chunks

    def digest(self, chunks: int) -> bytes:
        """A digest of the first chunks that is the same in every gateway. It is not stored."""
        beginning = f"{self._seed}\0{self._text[: chunks * CHUNK]}".encode(errors="surrogatepass")
        return hashlib.blake2b(beginning, digest_size=16).digest()


class PrefixCache:
    """The chunks that one replica is assumed to have in its cache. The chunks used longest ago leave first."""

    def __init__(self) -> None:
        self._most = USUAL_TOKENS // CHUNK_TOKENS
        self._next: OrderedDict[int, int] = OrderedDict()
        """Every known chunk with the chunk that follows it: 0 if none is known, `_SEVERAL` if there are several."""

    def __len__(self) -> int:
        return len(self._next)

    def resize(self, tokens: int) -> None:
        """Take the size of the replica's cache in tokens."""
        self._most = max(1, min(tokens // CHUNK_TOKENS, MOST_ENTRIES))
        self._trim()

    def clear(self) -> None:
        """Forget everything, because the replica may have started again."""
        self._next.clear()

    def matched(self, chunks: Sequence[int]) -> int:
        """How many of the first chunks the replica has.

        A chunk never leaves before those that follow it, so a search by halves finds the last one.
        """
        low, high = 0, len(chunks)
        while low < high:
            middle = (low + high + 1) // 2
            if chunks[middle - 1] in self._next:
                low = middle
            else:
                high = middle - 1
        return low

    def worth(self, chunks: Sequence[int]) -> int:
        """How many of the first chunks draw the prompt to the replica.

        A text with which many prompts begin, such as an application's rules, draws none unless it is half of the
        prompt. Otherwise every conversation would go to the replica that got the first one.
        """
        matched = self.matched(chunks)
        is_common = 0 < matched < len(chunks) / 2 and self._next[chunks[matched - 1]] == _SEVERAL
        return 0 if is_common else matched

    def add(self, chunks: Sequence[int]) -> None:
        """Note that a prompt was sent to the replica."""
        known, following = self._next, 0
        for chunk in reversed(chunks):  # so that the first chunk is the one used last
            before = known.get(chunk, 0)
            if not before:
                known[chunk] = following
            elif following not in (0, before):
                known[chunk] = _SEVERAL
            known.move_to_end(chunk)
            following = chunk
        self._trim()

    def _trim(self) -> None:
        while len(self._next) > self._most:
            self._next.popitem(last=False)


def prompt_text(payload: Mapping[str, Any]) -> str:
    """The text of a request in the order in which chat templates write it. Empty if a cache cannot help."""
    messages = payload.get("messages")
    if messages is None:
        prompt = payload.get("prompt")
        return prompt if isinstance(prompt, str) else ""
    parts: list[str] = []
    if tools := payload.get("tools"):
        parts.append(to_json(tools).decode())
    for message in messages:
        content = message.get("content")
        if isinstance(content, str) and len(message) == 2:
            parts += ("\0", message["role"], "\0", content)
        elif isinstance(content, list):
            parts += ("\0", message["role"], *map(_part_text, content))
        else:
            parts.append(to_json(message).decode())
    return "".join(parts)


def _part_text(part: Mapping[str, Any]) -> str:
    if part["type"] == "text":
        return part["text"]
    url: str = part["image_url"]["url"]
    middle = len(url) // 2  # Three places of a file of megabytes tell images apart well enough for routing.
    return f"\0{len(url)} {url[:CHUNK]}{url[middle : middle + CHUNK]}{url[-CHUNK:]}"


class Candidate(Protocol):
    """What the choice needs of a replica."""

    address: str
    prefixes: PrefixCache

    @property
    def running(self) -> int:
        """Requests in flight from this gateway."""
        ...


_Candidate = TypeVar("_Candidate", bound=Candidate)


class ReplicaChooser:
    """Chooses the replica of each request to one model."""

    def __init__(self) -> None:
        self._reuse = 0.0

    def choose(self, prompt: Prompt, replicas: Sequence[_Candidate]) -> _Candidate | None:
        """The replica that has most of the prompt's beginning, unless it is busier than the others. A new beginning
        goes to the replica to which every gateway assigns it. None: the load alone decides, because the prompt is
        short or requests share no beginnings.

        Only a replica whose requests in flight are at most `SLACK` times the mean, rounded up, is chosen.
        """
        chunks = prompt.chunks
        if not chunks:
            return None
        running = [replica.running for replica in replicas]
        longest = max(replica.prefixes.matched(chunks) for replica in replicas)
        self._reuse += REUSE_MEMORY * (longest / len(chunks) - self._reuse)
        if self._reuse < LEAST_REUSE:
            return None
        most = math.ceil(SLACK * (1 + sum(running)) / len(replicas))
        busy = [BUSY_CHUNKS * max(0, count - min(running) - 1) for count in running]
        costs = {
            number: busy[number] - replica.prefixes.worth(chunks)
            for number, replica in enumerate(replicas)
            if running[number] <= most
        }
        lowest = min(costs.values())
        best = [replicas[number] for number, cost in costs.items() if cost == lowest]
        if len(best) == 1:
            return best[0]
        # The first chunk that is new everywhere decides, so that turns of one conversation agree in every gateway.
        digest = prompt.digest(min(longest + 1, len(chunks)))
        return max(best, key=lambda replica: _score(replica, digest))


def _score(replica: Candidate, digest: bytes) -> bytes:
    """Rendezvous hashing: the replica with the highest score of a prefix gets it."""
    return hashlib.blake2b(replica.address.encode(), key=digest, digest_size=8).digest()
