"""The estimate of cached prefixes, and the choice of a replica by it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge.routing.prefixes import CHUNK, PrefixCache, Prompt, ReplicaChooser, prompt_text
from edge.routing.replica import Replica, read_cache_tokens
from tests.edge.processes import ROOT


async def _unused(url: str, fresh: bool) -> bytes | None:
    raise AssertionError("this replica is not probed")


def replicas(count: int = 4) -> list[Replica]:
    return [Replica("", _unused, 5, f"10.0.0.{number}:8443") for number in range(count)]


def text(seed: object, chunks: float = 4) -> str:
    return random.Random(str(seed)).randbytes(int(chunks * CHUNK / 2)).hex()


def send(chooser: ReplicaChooser, prompt: str, among: list[Replica]) -> Replica:
    """Choose the replica of a prompt, and note the prompt there."""
    hashed = Prompt("seed", prompt)
    chosen = chooser.choose(hashed, among)
    assert chosen is not None
    chosen.prefixes.add(hashed.chunks)
    return chosen


def sharing_chooser(among: list[Replica]) -> ReplicaChooser:
    """A chooser that has learned that requests share beginnings."""
    chooser, known = ReplicaChooser(), Prompt("seed", text("known"))
    among[0].prefixes.add(known.chunks)
    for _ in range(20):
        chooser.choose(known, among)
    return chooser


def test_a_conversation_stays_at_the_replica_that_has_its_beginning():
    among = replicas()
    chooser = sharing_chooser(among)
    for number in range(20):
        conversation = text(number, 2.5)
        first = send(chooser, conversation, among)
        for _ in range(3):
            conversation += text(conversation, 1.5)
            assert send(chooser, conversation, among) is first


def test_gateways_assign_a_new_beginning_to_the_same_replica_and_spread_beginnings():
    chosen = Counter[str]()
    for number in range(200):
        both = []
        for _ in range(2):
            among = replicas()
            both.append(send(sharing_chooser(among), text(number), among))
        assert both[0].address == both[1].address
        chosen[both[0].address] += 1
    assert min(chosen.values()) > 25, chosen


def test_a_replica_that_leaves_moves_only_its_own_beginnings():
    for number in range(50):
        among, fewer = replicas(), replicas()[:-1]
        before = send(sharing_chooser(among), text(number), among)
        after = send(sharing_chooser(fewer), text(number), fewer)
        assert before.address in (after.address, "10.0.0.3:8443")


def test_a_replica_that_runs_more_than_its_share_gets_no_request_for_its_cache():
    among = replicas()
    chooser = sharing_chooser(among)
    conversation = text("popular", 40)
    first = send(chooser, conversation, among)
    for replica in among:
        replica.sharing.running = 8
    assert send(chooser, conversation, among) is first
    first.sharing.running = 12  # ceil(1.25 * 37 / 4)
    assert send(chooser, conversation, among) is first
    first.sharing.running = 13
    assert send(chooser, conversation, among) is not first


def test_without_shared_beginnings_the_load_alone_decides():
    among, chooser = replicas(), ReplicaChooser()
    for prompt in [*(text(number) for number in range(100)), "short"]:
        hashed = Prompt("seed", prompt)
        assert chooser.choose(hashed, among) is None
        among[0].prefixes.add(hashed.chunks)


def test_a_text_with_which_many_prompts_begin_draws_none_unless_it_is_half_of_the_prompt():
    cache, rules = PrefixCache(), text("rules", 2)
    for number in range(3):
        cache.add(Prompt("", rules + text(number, 3)).chunks)
    assert cache.worth(Prompt("", rules + text("new", 3)).chunks) == 0
    assert cache.worth(Prompt("", rules + text("new", 1)).chunks) == 2
    assert cache.worth(Prompt("", rules + text(1, 3) + text("a long answer", 20)).chunks) == 5


def test_caches_with_other_salts_or_models_share_nothing():
    cache = PrefixCache()
    cache.add(Prompt("a", text(1)).chunks)
    assert cache.matched(Prompt("a", text(1)).chunks) == 4
    assert cache.matched(Prompt("b", text(1)).chunks) == 0


def test_what_is_remembered_differs_between_processes():
    script = "from edge.routing.prefixes import Prompt; print(Prompt('', 'x' * 2000).chunks)"
    written = {
        subprocess.run(
            [sys.executable, "-c", script],
            **{"cwd": ROOT, "env": {"PYTHONHASHSEED": "0"}, "capture_output": True, "check": True},  # type: ignore[arg-type]
        ).stdout
        for _ in range(2)
    }
    assert len(written) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=60))
def test_the_memory_is_bounded_and_keeps_beginnings_longest(prompts: list[tuple[int, int]]):
    cache = PrefixCache()
    cache.resize(16 * 64)
    for seed, chunks in prompts:
        hashes = Prompt("", text(seed, 12)).chunks[:chunks]
        cache.add(hashes)
        assert len(cache) <= 16
        assert cache.matched(hashes) == len(hashes)
        for other in range(6):
            known = Prompt("", text(other, 12)).chunks
            present = [cache.matched(known[: count + 1]) == count + 1 for count in range(len(known))]
            assert present == sorted(present, reverse=True), "a chunk left before one that follows it"


def test_the_text_of_a_request_has_the_order_of_a_chat_template():
    chat: Any = {
        "messages": [
            {"role": "system", "content": "rules"},
            {"role": "user", "content": [{"type": "text", "text": "look"}, _image("a" * 5000)]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "temperature": 0.5,
    }
    written = prompt_text(chat)
    order = [written.index(part) for part in ('"name":"f"', "rules", "look", "image", "tool_calls")]
    assert order == sorted(order)
    assert len(written) < 2000, "the image is too long for a hash"
    assert prompt_text({**chat, "temperature": 1}) == written
    assert prompt_text({"prompt": "abc"}) == "abc"
    assert prompt_text({"input": ["abc"]}) == ""


def _image(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def test_the_size_of_a_cache_is_read_from_metrics_unless_it_is_impossible():
    line = 'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="%s"} 1.0\n'
    assert read_cache_tokens((line % "1000").encode()) == 16_000
    for false in ("0", "-5", "None", "NaN", "9" * 20, "999999999"):
        assert read_cache_tokens((line % false).encode()) is None, false
