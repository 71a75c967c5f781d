"""Unmodified clients of `/v1/responses` and `/v1/messages`, in one environment, against the running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.audit.audited import WRAPPING_KEY, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.clients.helpful import Helpful
from tests.edge.clients.test_clients import PROGRAMS, RATE, TEXT, python_of, run
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import TOKENS, FakeModel
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import RULE

pytestmark = pytest.mark.service

NOTICE = "This answer waits for a person's review."


@pytest.fixture(scope="module")
def gateway(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """A gateway of class public. The model `broken` breaks every answer, and people hold those of `held`."""
    folder = tmp_path_factory.mktemp("agents")
    with counted(folder, postgres, "agents", [Helpful(), FakeModel()], "public") as site:
        site.models[1].reset("cut")
        (folder / "wrapping.key").write_text(WRAPPING_KEY)
        (folder / "keys").mkdir()
        files = {"certificate": str(site.folder / "gateway.crt"), "key": str(site.folder / "gateway.key")}
        offering = {"target": "onprem-vllm", "interfaces": ["responses", "messages"]}
        site.start(
            **{"class": "public", "listen": files},
            workloads=[
                {"name": "app", "impact": "low"},
                {"name": "slow", "impact": "high", "review": RULE},
            ],
            routes=[
                {**site.place(), **offering, "workload": "app", "name": "fast"},
                {**site.place(1), **offering, "workload": "app", "name": "broken"},
                {**site.place(), **offering, "workload": "slow", "name": "held"},
            ],
            audit=settings(folder, AuditSite.at(folder / "audit")),
            reviews={
                "keys": str(folder / "keys"),
                "wrapping_key": str(folder / "wrapping.key"),
                "keep_days": 7,
            },
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


def ask(gateway: Counted, program: str, folder: Path) -> dict[str, object]:
    """Run a program with one key for `fast` and `broken`, and one for `held`."""
    command = [python_of("agents"), str(PROGRAMS / program)]
    return run(gateway, command, folder, HELD_KEY=gateway.issue("slow", "public"))


def test_openais_agents_work_against_the_gateway(gateway: Counted, tmp_path: Path):
    steps = ask(gateway, "openai_agents_client.py", tmp_path)
    assert str(steps.pop("held")).startswith(NOTICE)
    assert steps == {
        "chat": TEXT,
        "tools": [RATE, TEXT],
        "again": TEXT,
        "stream": [TEXT, TEXT],
        "structured": "Bern",
        "error": "unsupported_parameter",
        "broken_stream": "stream_cut",
    }


def test_openais_client_speaks_responses(gateway: Counted, tmp_path: Path):
    steps = ask(gateway, "openai_responses_client.py", tmp_path)
    status, text = steps.pop("held")  # type: ignore[misc]
    assert (status, str(text)[: len(NOTICE)]) == ("completed", NOTICE)
    assert steps == {
        "chat": TEXT,
        "tools": [RATE, TEXT],
        "stream": TEXT,
        "stream_final": TEXT,
        "streamed_tools": [{"city": "Bern"}],
        "structured": "Bern",
        "structured_stream": "Bern",
        "error": "unsupported_parameter",
        "broken_stream": "stream_cut",
        "held_structured": None,
    }


def test_anthropics_client_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    steps = ask(gateway, "anthropic_client.py", tmp_path)
    reason, text = steps.pop("held")  # type: ignore[misc]
    assert (reason, str(text)[: len(NOTICE)]) == ("refusal", NOTICE)
    assert steps == {
        "models": ["fast", "broken"],
        "chat": TEXT,
        "request_id": True,
        "usage": [7, 5],
        "count": TOKENS["count"],
        "tools": [RATE, TEXT],
        "stream": TEXT,
        "stream_tokens": [7, 5],
        "streamed_tools": [{"city": "Bern"}],
        "structured": "Bern",
        "error": ["not_found_error", "model_not_found"],
        "wrong_key": "invalid_api_key",
        "broken_stream": "stream_cut",
    }


@pytest.mark.parametrize("program", ["langgraph_client.py", "pydantic_ai_client.py"])
def test_langgraph_and_pydantic_ai_work_through_both_interfaces(
    gateway: Counted, tmp_path: Path, program: str
):
    steps = ask(gateway, program, tmp_path)
    for name in ("responses", "messages"):
        assert str(steps.pop(f"{name}_held")).startswith(NOTICE)
        assert steps == steps | {
            f"{name}_tools": [RATE, TEXT],
            f"{name}_stream": TEXT,
            f"{name}_structured": "Bern",
            f"{name}_error": 404,
        }
