"""What is read out of a load generator's results: from when a request counts, and that no bad answer is a figure."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bench.attack import END, percentiles, read_results
from bench.measure import Failed

MS = 1_000_000
WHOLE, STREAM = b'{"id": "1"}', b"data: {}\n\n" + END


def rows(folder: Path, *sent: tuple[float, float], code: int = 200, body: bytes = WHOLE) -> Path:
    """vegeta's CSV of requests sent at these milliseconds, answered after so many."""
    file = folder / "results.csv"
    lines = [
        f"{int(at * MS)},{code},{int(took * MS)},10,11,,{base64.b64encode(body).decode()},,{number},POST,http://x,eA=="
        for number, (at, took) in enumerate(sent)
    ]
    file.write_text("".join(line + "\n" for line in lines))
    return file


def test_latency_counts_from_when_a_request_was_due(tmp_path: Path):
    # Ten a second: the third was due at 200 ms, and the generator was held up until 350.
    result = read_results(rows(tmp_path, (1000, 5), (1100, 5), (1350, 5)), stream=False, rate=10)
    assert result.milliseconds == pytest.approx([5, 5, 155])


def test_latency_of_waiting_clients_counts_from_when_they_send(tmp_path: Path):
    result = read_results(rows(tmp_path, (0, 100), (150, 50)), stream=False, rate=None)
    assert result.milliseconds == pytest.approx([100, 50])
    assert result.per_second == pytest.approx(10)


@pytest.mark.parametrize(
    ("code", "body", "stream"),
    [(503, WHOLE, False), (0, b"", False), (200, STREAM.removesuffix(END), True), (200, b"", False)],
)
def test_an_incomplete_answer_fails_the_measurement(tmp_path: Path, code: int, body: bytes, stream: bool):
    with pytest.raises(Failed):
        read_results(rows(tmp_path, (0, 1), code=code, body=body), stream=stream, rate=None)


def test_an_attack_without_requests_fails_the_measurement(tmp_path: Path):
    with pytest.raises(Failed):
        read_results(rows(tmp_path), stream=False, rate=None)


def test_a_complete_stream_counts_as_an_answer(tmp_path: Path):
    assert read_results(rows(tmp_path, (0, 1), body=STREAM), stream=True, rate=None).milliseconds == [1]


def test_percentiles_are_those_of_the_values():
    assert percentiles([float(value) for value in range(101)]) == (50, 95, 99)
