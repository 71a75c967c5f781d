"""The English entity model in the detector's image: its origin, and that it works as shipped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from edge.redaction import Detector, ModelFile, Placeholders, Rules
from edge.redaction.models import TRUSTED
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL
from sandbox.local.models import ENTITY_LOCK, entity_model
from tests.laying import ROOT

RECORD = Path(__file__).with_name("data") / "en_core_web_sm-3.8.0.record"
RELEASE = TRUSTED["en_core_web_sm-3.8.0-py3-none-any.whl"]
OWN_TO_THE_COPY = {"meta.json", "README.md"}
"""Files with the copy's name. They do not affect results."""


def released() -> dict[str, str]:
    """Digests of the release's files, by path within the pipeline."""
    lines = [line.split(",") for line in RECORD.read_text().splitlines()]
    return {path.partition("-3.8.0/")[2]: digest for path, digest, _ in lines if "-3.8.0/" in path}


def encoded(raw: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def test_the_recorded_digest_is_that_of_the_wheel_released_by_explosion():
    url = f"https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0/{RELEASE.wheel}"
    hashes = {"hash": f"sha256={RELEASE.sha256}", "hashes": {"sha256": RELEASE.sha256}}
    direct_url = json.dumps({"archive_info": hashes, "url": url}).encode()
    first = RECORD.read_text().splitlines()[0].split(",")
    assert first == ["en_core_web_sm-3.8.0.dist-info/direct_url.json", encoded(direct_url), "320"]


def test_image_contract_and_edge_name_the_same_model():
    wheel = TRUSTED[ENGLISH_MODEL["file"]]
    assert (wheel.sha256, wheel.language) == (ENGLISH_MODEL["sha256"], "en")
    assert re.findall("sha256:([0-9a-f]{64})", ENTITY_LOCK.read_text()) == [wheel.sha256]
    image = (ROOT / "edge" / "Containerfile").read_text()
    assert (
        "install_lock.py /build/detector-models.lock /models --download"
        in image.partition("AS detector-models")[2].partition("FROM")[0]
    )
    assert "COPY --from=detector-models /models /models" in image


@pytest.fixture(scope="session")
def wheel() -> Path:
    return entity_model()


@pytest.mark.service
def test_every_file_of_the_model_equals_that_of_the_released_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as packed:
        files = {
            name.partition("-3.8.0/")[2]: encoded(packed.read(name))
            for name in packed.namelist()
            if "-3.8.0/" in name
        }
    assert files.keys() == released().keys()
    differing = {name for name, digest in files.items() if digest != released()[name]}
    assert differing == OWN_TO_THE_COPY


@pytest.mark.service
def test_the_model_finds_english_names_and_covers_english(wheel: Path):
    detector = Detector(Rules(models=[ModelFile(file=wheel)]))
    text = (
        "Please ask Margaret Thompson of Barclays in Manchester to send the contract to our office tomorrow."
    )
    detection = detector.detect(text, ["en"])
    assert detection.patterns_only == ()
    redacted = Placeholders([text]).redact(text, detection.findings)
    for name in ("Margaret", "Thompson", "Manchester"):
        assert name not in redacted
