"""Prefix-aware routing on real processes: model servers with a cache, behind the real edge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.prefix_traffic import converse
from tests.edge.replica_fleet import CachingModel, Fleet


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("caches"), 3, CachingModel)
    try:
        yield fleet
    finally:
        fleet.stop()


def test_conversations_return_to_the_replica_that_has_their_beginning(fleet: Fleet):
    gateway = fleet.start_gateway(**{"target": "onprem-vllm"})
    fleet.wait_for_states(good=3)
    converse(fleet, 0, people=6, conversations=3, turns=5)
    cached = sum(model.cached_tokens for model in fleet.models)  # type: ignore[attr-defined]
    tokens = sum(model.prompt_tokens for model in fleet.models)  # type: ignore[attr-defined]
    # One cache for all replicas together would have everything but each turn's own message and answer.
    assert cached / tokens > 0.9 * _possible(turns=5), f"{cached / tokens:.0%}"
    assert min(fleet.counts()) > 0.15 * sum(fleet.counts()), "one replica got nearly everything"
    assert gateway.metric("isthmus_prompt_tokens_cached_total") == cached
    assert gateway.metric("isthmus_prompt_tokens_cacheable_total") == tokens


def _possible(turns: int) -> float:
    """Share of prompt tokens that were sent before, if nothing is ever forgotten: the rules and all earlier turns."""
    rules, message, answer = 800, 1400, 600
    prompts = [rules + turn * (message + answer) + message for turn in range(turns)]
    return (turns * rules + sum(turn * (message + answer) - answer for turn in range(1, turns))) / sum(
        prompts
    )
