"""Detector rules: invalid settings, their version, and which entity models are trusted."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.redaction import Detector, ModelFile, NoModel, Rules, TooSlow
from edge.redaction.models import TRUSTED


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[a-z]+", "longer than 512"),
        ("(a", "missing"),
        (r"(?=a)b", "perl operator"),
        ("a{0,3}", "matches nothing"),
        (r"(a)\1", "escape"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(pattern: str, why: str):
    with pytest.raises(ValidationError, match=f"(?i){why}"):
        Rules.model_validate({"patterns": [{"entity": "OWN", "pattern": pattern}]})


def test_a_custom_pattern_takes_linear_time_whatever_it_is():
    import time

    detector = Detector(Rules.model_validate({"patterns": [{"entity": "OWN", "pattern": r"(a{1,8}){1,8}b"}]}))
    started = time.monotonic()
    assert detector.detect("a" * 20_000, entities=frozenset(["OWN"])).findings == ()
    assert time.monotonic() - started < 5


def test_a_custom_pattern_needs_its_context_words_nearby():
    rules = {"patterns": [{"entity": "CASE_NUMBER", "pattern": "[0-9]{6}", "context": ["Aktenzeichen"]}]}
    detector = Detector(Rules.model_validate(rules))
    findings = detector.detect("Aktenzeichen 123456. " + "x" * 80 + " 654321").findings
    assert [(finding.entity, finding.rule) for finding in findings] == [("CASE_NUMBER", "own-1")]


def test_the_version_of_the_rules_changes_with_them():
    assert Rules().version == Rules().version
    assert Rules().version != Rules(jurisdictions=["de"]).version
    assert Rules().version.startswith("rules-")


def test_secrets_are_always_searched():
    detector = Detector(Rules(entities=["IBAN_CODE"]))
    findings = detector.detect("password: hunter2! and 4111111111111111").findings
    assert [finding.entity for finding in findings] == ["SECRET"]


def test_a_language_without_a_model_is_reported():
    detection = Detector(Rules()).detect("Bitte überweisen Sie den Betrag an unsere Kundin in Kiel.", ["de"])
    assert detection.languages == detection.patterns_only == ("de",)


def test_exceeding_the_time_limit_is_an_error():
    with pytest.raises(TooSlow):
        Detector(Rules()).detect("one two three", limit_s=-1)


def test_a_model_with_a_trusted_name_and_another_digest_is_refused(tmp_path: Path):
    name = next(iter(TRUSTED))
    (tmp_path / name).write_bytes(b"not what Explosion released")
    with pytest.raises(NoModel, match="is promised"):
        Detector(Rules(models=[ModelFile(file=tmp_path / name)]))


def test_a_missing_model_file_is_an_error(tmp_path: Path):
    with pytest.raises(NoModel, match="cannot be read"):
        Detector(Rules(models=[ModelFile(file=tmp_path / next(iter(TRUSTED)))]))


def test_an_unknown_model_needs_a_digest_and_a_language(tmp_path: Path):
    with pytest.raises(ValidationError, match="no trusted model"):
        ModelFile(file=tmp_path / "de_core_news_md-999.9.9-py3-none-any.whl")


@pytest.fixture(scope="session")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A spaCy pipeline that knows two names, packed like a wheel."""
    import spacy

    folder = tmp_path_factory.mktemp("model")
    nlp = spacy.blank("de")
    ruler = nlp.add_pipe("entity_ruler")
    names = [{"label": "PER", "pattern": "Käthe Groß"}, {"label": "ORG", "pattern": "Nordbank"}]
    ruler.add_patterns(names)  # type: ignore[attr-defined]
    (folder / "own").mkdir()
    nlp.to_disk(folder / "own" / "own-1.0.0")
    archive = Path(shutil.make_archive(str(folder / "own"), "zip", folder, "own"))
    return ModelFile(file=archive, sha256=hashlib.sha256(archive.read_bytes()).hexdigest(), language="de")


def test_a_model_finds_names_in_its_language_only(own_model: ModelFile):
    detector = Detector(Rules(models=[own_model], languages=["de"]))
    text = "Gestern war Käthe Groß bei der Nordbank in der Stadt.\n"
    text += "Yesterday somebody called the head office about the invoice.\n"
    detection = detector.detect(text)
    assert [(finding.entity, text[finding.start : finding.end]) for finding in detection.findings] == [
        ("PERSON", "Käthe Groß"),
        ("ORGANIZATION", "Nordbank"),
    ]
    assert detector.covered == ("de",)
    assert detection.patterns_only == ("en",)


def test_one_altered_byte_of_a_model_is_detected(own_model: ModelFile, tmp_path: Path):
    raw = bytearray(own_model.file.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "own.zip").write_bytes(raw)
    with pytest.raises(NoModel, match="is promised"):
        Detector(Rules(models=[own_model.model_copy(update={"file": tmp_path / "own.zip"})]))


def test_text_before_a_field_is_context_but_never_part_of_a_finding(patterns: Detector):
    code, label = "cvv: ", "ann@example.com: "
    assert patterns.detect("123").findings == ()
    assert [
        (finding.start, finding.end, finding.entity)
        for finding in patterns.detect("123", before=code).findings
    ] == [(0, 3, "CARD_CODE")]
    assert patterns.detect("nothing", before=label).findings == ()


def test_positions_of_findings_are_exact_in_a_long_text_of_any_script(patterns: Detector):
    text = "Grüße, 東京 und ñandú. Mail an ann@example.com bitte.\n" * 400
    places = [text[finding.start : finding.end] for finding in patterns.detect(text).findings]
    assert places == ["ann@example.com"] * 400
