"""Task, speculative decoding, prefix cache and drain, as the engine and its pod are told."""

import json
from typing import Any

import pytest

from components import ModelServer
from isthmus.contracts.reference import vllm_flags
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.test_model_server import deploy
from tests.components.test_vllm_arguments import server_args


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({}, "--enable-prefix-caching"),
        ({"prefix_cache": "off"}, "--no-enable-prefix-caching"),
        ({"prefix_cache": "salted"}, "--prefix-caching-hash-algo=sha256"),
        ({"task": "embedding"}, "--runner=pooling"),
        ({"task": "rerank"}, "--runner=pooling"),
        ({}, "--shutdown-timeout=40"),
        ({"drain_s": 300}, "--shutdown-timeout=300"),
    ],
)
def test_each_setting_is_a_flag_that_the_version_knows(settings: dict[str, Any], flag: str) -> None:
    flags = server_args(**settings)
    assert flag in flags
    assert vllm_flags.is_known(flag.partition("=")[0])


def test_a_guard_model_writes_its_verdict_and_is_run_as_a_chat_model() -> None:
    assert server_args(task="guard") == server_args()


def test_whether_a_pooling_model_keeps_prefixes_is_the_engines_to_know() -> None:
    assert not [flag for flag in server_args(task="embedding") if "prefix-caching" in flag]
    assert "--no-enable-prefix-caching" in server_args(task="embedding", prefix_cache="off")


@pytest.mark.parametrize(
    ("settings", "parsed"),
    [
        ({"method": "ngram", "tokens": 4}, {"method": "ngram", "num_speculative_tokens": 4}),
        (
            {"method": "eagle3", "tokens": 3, "path": "heads/eagle3"},
            {"method": "eagle3", "num_speculative_tokens": 3, "model": "/models/heads/eagle3"},
        ),
    ],
)
def test_speculative_decoding_is_one_json_argument(settings: dict[str, Any], parsed: dict[str, Any]) -> None:
    (flag,) = [flag for flag in server_args(speculative=settings) if flag.startswith("--speculative-config=")]
    assert json.loads(flag.partition("=")[2]) == parsed
    assert vllm_flags.is_known("--speculative-config")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "vision"}, "task"),
        ({"prefix_cache": "mine"}, "prefix_cache"),
        ({"task": "rerank", "prefix_cache": "salted"}, "cannot have a cache salt"),
        ({"speculative": {"method": "guess", "tokens": 1}}, "method"),
        ({"speculative": {"method": "ngram", "tokens": 0}}, "0 speculative tokens"),
        ({"speculative": {"method": "eagle", "tokens": 1}}, "needs the path"),
        ({"speculative": {"method": "mtp", "tokens": 1, "path": "x"}}, "no weights of its own"),
        ({"speculative": {"method": "ngram", "tokens": 1}, "task": "embedding"}, "a task that writes text"),
        ({"speculative": {"method": "ngram", "tokens": 1}, "nodes_per_replica": 2}, "one machine only"),
    ],
)
def test_settings_that_the_engine_cannot_run_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        server_args(**settings)


@pytest.mark.parametrize(("settings", "grace"), [({}, 60), ({"drain_s": 300}, 320)])
def test_a_pod_is_killed_only_after_gateways_forgot_it_and_answers_had_their_time(
    engine: Engine, settings: dict[str, Any], grace: int
) -> None:
    pod = deploy(engine, **settings)
    (vllm,) = pod["containers"]
    drain = settings.get("drain_s", 40)
    assert (
        pod["terminationGracePeriodSeconds"]
        == grace
        > vllm["lifecycle"]["preStop"]["sleep"]["seconds"] + drain
    )


def test_a_groups_workers_outlast_their_leaders_drain(engine: Engine) -> None:
    from tests.components.test_model_server import args

    engine.deploy(ModelServer, "m", args(nodes_per_replica=2, drain_s=300))
    template = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    worker = template["workerTemplate"]["spec"]
    assert worker["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 315
    for part in ("leaderTemplate", "workerTemplate"):
        assert template[part]["spec"]["terminationGracePeriodSeconds"] == 320, part
