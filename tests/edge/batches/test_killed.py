"""A batch whose gateways are killed: every line has exactly one result, and every result is accounted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.edge.batches.batching import Batched, Echoing, batched, jsonl, line, results, submit, wait
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service
AT_ONCE = 8


def _start(site: Batched, lines: int) -> None:
    key = str(site.folder / "transit")
    settings = {"lease_s": 1, "max_lines": lines, "lines_at_once": AT_ONCE}
    site.start(batches=settings, file_store={"key": key}).wait_until_up()


def _kill_newest(site: Batched) -> None:
    process = site.gateways[-1].process
    process.kill()
    process.wait(10)


@pytest.mark.parametrize(
    ("lines", "kills"),
    [(240, 1), pytest.param(10_000, 2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_each_line_has_exactly_one_result_though_gateways_are_killed(
    postgres: Postgres, tmp_path: Path, lines: int, kills: int
):
    model = Echoing()
    model.seconds = 0.005
    with batched(tmp_path, postgres, f"killed{lines}", model) as site:
        for edge in site.sidecars:
            edge.wait_until_up()
        _start(site, lines)
        _start(site, lines)
        with site.client(site.issue("narratives")) as client:
            batch = submit(client, jsonl(line(number) for number in range(lines)))
            for kill in range(1, kills + 1):
                _wait_for_lines(site, batch.id, lines * kill // (kills + 2))
                _kill_newest(site)
                if kill < kills:
                    _start(site, lines)
            done = wait(client, batch.id, seconds=1500)
            assert (done.status, done.request_counts.completed) == ("completed", lines)
            answers = results(client, done.output_file_id)
        _check(site, batch.id, lines, answers, kills)


def _wait_for_lines(site: Batched, batch_id: str, count: int) -> None:
    statement = f"SELECT completed FROM isthmus.batches WHERE id = '{batch_id}'"  # noqa: S608
    while site.ask_database(statement)[0]["completed"] < count:
        pass


def _check(site: Batched, batch_id: str, lines: int, answers: list[dict[str, object]], kills: int) -> None:
    model = site.model
    texts = {str(answer["custom_id"]): json.dumps(answer["response"]) for answer in answers}
    assert len(answers) == len(texts) == lines
    assert all(f'"word-{number}\\u2028"' in texts[f"request-{number}"] for number in range(lines))
    sent_again = sum(model.asked.values()) - lines
    assert 0 <= sent_again <= kills * AT_ONCE, "only what ran in a killed copy is sent again"
    journal = Counter(
        entry["request_id"]
        for gateway in site.gateways
        for entry in gateway.lines("request")
        if entry.get("batch") == batch_id
    )
    request_ids = {answer["response"]["request_id"] for answer in answers}  # type: ignore[index]
    assert len(request_ids) == lines
    assert all(journal[request_id] == 1 for request_id in request_ids)
    counted = site.ask_database(
        "SELECT sum(requests) AS requests, sum(completion_tokens) AS tokens FROM isthmus.accounts"
    )
    assert lines <= counted[0]["requests"] <= lines + sent_again
    assert counted[0]["tokens"] == 5 * counted[0]["requests"]
