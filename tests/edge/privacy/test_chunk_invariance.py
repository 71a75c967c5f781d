"""`chunk-invariance` 0.2.0 (PyPI, Apache-2.0): redactor and gateway give the same output at every split.

The package comes from its own environment but runs in this one, which has the redactor. It has no dependencies.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.redaction import Detector, Rules, StreamBuffer, hide
from tests.edge.fake_model import FakeModel
from tests.edge.privacy import benchmarks
from tests.edge.privacy.standing import KEY as KEY_OF
from tests.edge.privacy.standing import WORKLOAD, start_gateway
from tests.edge.redaction.test_identifiers import PUBLISHED, WITHOUT_CHECK
from tests.edge.redaction.test_secrets import KEY, TOKENS
from tests.edge.screening.standing import text_of

pytestmark = pytest.mark.service
OWN = {"entity": "PROJECT", "pattern": r"Project [A-Z][a-z]{2,10}"}
ODD = """
my card 4⁦1​11 1111 1111 1111 ok
card ٤١١١١١١١١١١١١١١١ end
mail ann%40example.com now
IBAN DE89.3704.0044.0532.0130.00 x
**4111** **1111** **1111** **1111** y
SSN 900-12-3456 z
We began Project Bluebird then.
See <IBAN_CODE_1> and a < b.
""".strip().splitlines()


@pytest.fixture(scope="module")
def package() -> Iterator[Any]:
    python = benchmarks.environment()
    folder = str(next(python.parents[1].glob("lib/python3*/site-packages/chunk_invariance")).parent)
    sys.path.append(folder)
    try:
        yield importlib.import_module("chunk_invariance")
    finally:
        sys.path.remove(folder)


class Redactor:
    """The streaming redactor with the interface that the package requires."""

    def __init__(self, entities: frozenset[str] | None) -> None:
        self._detector, self._entities = Detector(Rules.model_validate({"patterns": [OWN]})), entities

    def whole(self, text: str) -> str:
        return hide(text, self._detector.detect(text, entities=self._entities).findings)

    def stream(self, chunks: Iterable[str]) -> Iterator[str]:
        buffer = StreamBuffer(self._detector.reach(self._entities))
        for chunk in chunks:
            buffer.add(chunk)
            if buffer.ready():
                detection = self._detector.detect(buffer.window, entities=self._entities)
                yield buffer.release(detection.findings, undecided=detection.undecided)
        yield buffer.release(
            self._detector.detect(buffer.window, entities=self._entities).findings, last=True
        )


def test_every_value_is_redacted_identically_at_every_cut(package: Any):
    redactor = Redactor(None)
    values = [f"It is {value}, he said." for _, value in (*PUBLISHED, *WITHOUT_CHECK)]
    texts = [*values, *(f"set {token} then" for token in (*TOKENS, KEY)), *ODD]
    tried = sum(package.assert_chunk_invariant(redactor.stream, redactor.whole, text) for text in texts)
    assert tried > 1_500


@pytest.mark.parametrize("text", ["a 10.20.30.40 b", "p@q.de, x@y.io", "SSN 536-90-4399"])
def test_a_short_text_is_redacted_identically_in_every_split_into_up_to_five_parts(package: Any, text: str):
    redactor = Redactor(frozenset(["IP_ADDRESS", "EMAIL_ADDRESS", "US_SSN"]))
    assert package.assert_chunk_invariant(redactor.stream, redactor.whole, text, splits=5) > 1_000


def test_the_running_gateway_redacts_a_stream_identically_at_every_cut(package: Any, tmp_path: Path):
    with (
        start_gateway(tmp_path) as stands,
        httpx.Client(base_url=stands.url, trust_env=False, timeout=60) as client,
    ):
        model = FakeModel(("127.0.0.1", stands.capture_port))

        def ask(chunks: Iterable[str], stream: bool) -> str:
            model.words = list(chunks)
            body = {"model": WORKLOAD, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
            answer = client.post(
                "/chat/completions", json=body, headers={"authorization": f"Bearer {KEY_OF}"}
            )
            assert answer.status_code == 200, answer.text
            return text_of(answer)

        try:
            for text in ("pay 4111 1111 1111 1111 to p@q.de", "key ghp_" + "a1B2" * 9):
                expected = ask([text], False)
                assert text.split()[1] not in expected
                tried = package.assert_chunk_invariant(
                    lambda chunks: [ask(chunks, True)], lambda _, expected_text=expected: expected_text, text
                )
                assert tried == len(text)
        finally:
            model.shutdown()
            model.server_close()


def test_the_benchmark_finds_a_redactor_that_reads_each_chunk_separately(package: Any):
    redactor = Redactor(None)
    with pytest.raises(package.ChunkInvarianceError):
        package.assert_chunk_invariant(
            lambda chunks: map(redactor.whole, chunks), redactor.whole, "to p@q.example now"
        )
