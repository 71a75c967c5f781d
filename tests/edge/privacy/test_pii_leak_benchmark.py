"""`pii-leak-benchmark` 0.6.0 (PyPI, Apache-2.0) against the running gateway, with third-party values and checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.privacy import benchmarks
from tests.edge.privacy.standing import WORKLOAD, BenchmarkedGateway, start_gateway

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]
LIMIT_S = 1500
"""Seconds for some 380 requests: two minutes alone, ten or more beside other tests."""
SIX = {"AWS_ACCESS_KEY_ID", "CREDIT_CARD", "EMAIL", "GITHUB_TOKEN", "SLACK_TOKEN", "SSN"}


@pytest.fixture(scope="module")
def benchmarked_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchmarkedGateway]:
    with start_gateway(tmp_path_factory.mktemp("privacy")) as running:
        yield running


def target(benchmarked_gateway: BenchmarkedGateway) -> list[str]:
    return [
        *("--target-base-url", benchmarked_gateway.url),
        *("--target-model", WORKLOAD),
        *("--capture-port", str(benchmarked_gateway.capture_port)),
    ]


def test_the_selfcheck_of_the_benchmark_finds_no_leak_of_any_of_six_types(
    benchmarked_gateway: BenchmarkedGateway, tmp_path: Path
):
    report = tmp_path / "selfcheck.json"
    ran = benchmarks.run(
        tmp_path,
        "-m",
        "pii_leak_benchmark.cli",
        "selfcheck",
        *target(benchmarked_gateway),
        "--json-out",
        str(report),
    )
    benchmarks.keep(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "CLEAN" in ran.stdout
    measured = json.loads(report.read_text())
    assert {*measured["fixture"]["formats"]} == SIX
    assert measured["checks"]["configured_upstream_boundary"]["correlated_requests"] >= 3
    assert {name: check["passed"] for name, check in measured["checks"].items() if not check["passed"]} == {}


def test_the_ci_check_of_the_benchmark_finds_no_leak(benchmarked_gateway: BenchmarkedGateway, tmp_path: Path):
    ran = benchmarks.run(
        tmp_path,
        "-m",
        "pii_leak_benchmark.cli",
        "ci",
        *target(benchmarked_gateway),
        "--out",
        str(tmp_path / "ci"),
    )
    benchmarks.keep(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    current = json.loads((tmp_path / "ci" / "current.json").read_text())
    assert current["verdict"] == "CLEAN"
    assert {*current["entities"].values()} == {"contained"}


@pytest.mark.soak
def test_a_value_in_a_models_answer_is_removed_however_its_stream_is_split(
    benchmarked_gateway: BenchmarkedGateway, tmp_path: Path
):
    ran = benchmarks.run(
        tmp_path,
        *("-m", "pii_leak_benchmark.v2_emitter", "--out", str(tmp_path), "--only", "isthmus"),
        *(
            "--gateway-url",
            f"{benchmarked_gateway.url}/chat/completions",
            "--upstream-port",
            str(benchmarked_gateway.capture_port),
        ),
        *("--model", WORKLOAD, "--seed", "a1b2c3d4e5f60001", "--exhaustive-splits", "--partial-emission"),
        limit_s=LIMIT_S,
    )
    benchmarks.keep(tmp_path)
    assert (tmp_path / "isthmus.json").exists(), ran.stdout + ran.stderr
    report = json.loads((tmp_path / "isthmus.json").read_text())
    metrics = report["metrics"]
    assert metrics["leak_rate"] == {"single_chunk": 0.0, "adversarial": 0.0, "overall": 0.0}
    assert metrics["fidelity_rate"] == 1.0, "the caller's own values come back"
    assert metrics["partition_oracle"]["worst_case"]["cases_leaked"] == 0
    assert report["checks"]["configured_upstream_boundary"]["leaked_entity_types"] == []
    assert metrics["cases_applicable"] >= 24
    assert _not_measured(report) <= {"unrecognised-key"}, (
        "only a request that the gateway refuses is not measured"
    )
    partial = json.loads((tmp_path / "isthmus.partial-emission.json").read_text())["metrics"]
    assert partial["cases_partial_emission"] == 0


def _not_measured(report: dict[str, Any]) -> set[str]:
    cases = report["checks"]["fragmentation_safety"]["coalescing_per_case"]
    return {case["case"]["request_site"] for case in cases if case["stream_failure"]}


def test_without_a_gateway_the_benchmark_finds_every_leak(tmp_path: Path):
    report = tmp_path / "control.json"
    ran = benchmarks.run(
        tmp_path,
        *("-m", "pii_leak_benchmark.cli", "selfcheck", "--target-base-url", "capture://self"),
        *("--json-out", str(report)),
    )
    assert ran.returncode != 0
    assert "LEAK" in ran.stdout
    leaked = json.loads(report.read_text())["checks"]["configured_upstream_boundary"]["leaked_entity_types"]
    assert {*leaked} == SIX
