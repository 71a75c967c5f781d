"""Screening settings: never weaker than the handling of the class, and no setting that opens a way out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.config import ConfigError, DetectorConfig, GatewayConfig, check
from tests.edge.processes import ROOT
from tests.edge.test_config import FILE, gateway

DETECTOR = "http://127.0.0.1:8460"
GUARD = {"name": "g", "on": "outputs", "entities": ["SECRET"]}
MODEL = {"url": "https://10.0.0.9:8443", "server_name": "g.svc", "model": "guard"}


def documented() -> list[Any]:
    """The gateway's section and the detector's file from docs/redaction.md."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/redaction.md").read_text(), re.M | re.S)
    return [YAML(typ="safe").load(block) for block in blocks]


def screening(**changes: Any) -> dict[str, Any]:
    return gateway(screening={"detector": DETECTOR, **changes})


def detector(**changes: Any) -> dict[str, Any]:
    where = {"host": "127.0.0.1", "port": 8460}
    return {
        "mode": "detector",
        "class": "internal",
        "listen": where,
        "health": {**where, "port": 9091},
        **changes,
    }


def test_screening_settings_may_be_stricter_than_the_class_but_not_weaker():
    read = check(screening(redacted=["secrets-in-outputs"]), FILE)
    assert isinstance(read, GatewayConfig)
    assert read.screening is not None
    assert read.screening.demanded("restricted") == {"leaving-class", "logs", "secrets-in-outputs"}
    assert [guard.name for guard in read.screening.guards_of("restricted", "w")] == ["secrets-in-outputs"]


def test_a_guard_that_requires_review_needs_review_settings():
    with pytest.raises(ConfigError, match="reviews is needed: 'g' asks for human review"):
        check(screening(guards=[{**GUARD, "then": "review"}]), FILE)


def test_the_documented_screening_files_are_accepted():
    part, file = documented()
    assert isinstance(check(gateway(**{"class": "internal"}, **part), FILE), GatewayConfig)
    file["rules"].pop("models")  # wheels in the image
    assert isinstance(check(file, FILE), DetectorConfig)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (screening(detector="http://10.0.0.1:8460"), "must be http:// on a loopback address"),
        (screening(detector="https://127.0.0.1:8460"), "must be http:// on a loopback address"),
        (screening(limit_s=0), "screening.limit_s"),
        (screening(guards=[GUARD, GUARD]), "the name 'g' is used twice or reserved"),
        (screening(guards=[{**GUARD, "name": "secrets-in-outputs"}]), "is used twice or reserved"),
        (
            screening(guards=[{**GUARD, "max_characters": 5}]),
            "exactly one of entities, max_characters and model",
        ),
        (
            screening(guards=[{"name": "g", "on": "both"}]),
            "exactly one of entities, max_characters and model",
        ),
        (
            screening(guards=[{**GUARD, "on": "prompts", "then": "redact"}]),
            "needs entities and `on: outputs`",
        ),
        (
            screening(guards=[{"name": "g", "on": "both", "max_characters": 5}]),
            "max_characters needs `on: outputs`",
        ),
        (
            screening(
                guards=[{"name": "g", "on": "both", "model": {**MODEL, "url": "https://api.openai.com"}}]
            ),
            "guard g: restricted data must stay on the site",
        ),
        (detector(listen={"host": "0.0.0.0", "port": 8460}), "must be a loopback address"),  # noqa: S104
        (detector(rules={"patterns": [{"entity": "OWN", "pattern": "a+"}]}), "longer than 512"),
        (
            detector(rules={"models": [{"file": "/m/de_core_news_md-999.9.9-py3-none-any.whl"}]}),
            "no trusted model",
        ),
    ],
)
def test_invalid_screening_settings_are_refused_with_their_key(document: dict[str, Any], says: str):
    with pytest.raises(ConfigError) as caught:
        check(document, FILE)
    assert says in str(caught.value)
