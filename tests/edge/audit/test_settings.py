"""Audit settings by class: never looser than the handling table, and as documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.audit.log import AuditLog
from edge.config import AuditSettings, ConfigError, GatewayConfig, SealerConfig, check
from edge.metrics import Metrics
from tests.edge.processes import ROOT
from tests.edge.test_config import FILE, gateway


def documented() -> tuple[dict[str, Any], dict[str, Any]]:
    """The gateway's section and the sealer's file from docs/audit.md."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/audit.md").read_text(), re.M | re.S)
    first, second = (YAML(typ="safe").load(block) for block in blocks)
    return first, second


def audit(**changes: Any) -> dict[str, Any]:
    return {**documented()[0]["audit"], **changes}


def test_the_documented_audit_files_are_accepted():
    read = check(gateway(audit=audit()), FILE)
    assert isinstance(read, GatewayConfig)
    assert read.audit is not None
    sealer = check(documented()[1], FILE)
    assert isinstance(sealer, SealerConfig)
    assert (sealer.every_s, sealer.idle_s) == (30, 3600)


@pytest.mark.parametrize(
    ("class_", "days", "says"),
    [
        ("confidential", 31, "allows content for at most 30 days"),
        ("internal", 1, "allows content for no time"),
    ],
)
def test_a_class_that_keeps_less_content_refuses_more(class_: str, days: int, says: str):
    content = {**audit()["content"], "days": {"claims": days}}
    with pytest.raises(ConfigError, match=says):
        check(gateway(audit=audit(content=content), **{"class": class_}), FILE)


@pytest.mark.parametrize(
    ("class_", "limit"), [("public", None), ("internal", 3600), ("confidential", 180), ("restricted", 180)]
)
def test_the_maximum_time_until_a_seal_follows_from_the_class(class_: Any, limit: int | None):
    plain = {key: value for key, value in audit().items() if key != "content"}
    read = check(gateway(audit=plain, **{"class": class_}), FILE)
    assert isinstance(read, GatewayConfig)
    assert read.audit is not None
    assert read.audit.limit_s(class_) == limit
    if limit is not None:
        with pytest.raises(ConfigError, match=f"allows {limit} or less"):
            check(gateway(audit={**plain, "max_unsealed_s": limit + 1}, **{"class": class_}), FILE)


@pytest.mark.parametrize(
    "endpoint", ["http://s3.bank.example", "https://u:p@s3.bank.example", "https://s3/path", "s3"]
)
def test_a_store_address_needs_tls_and_no_credentials(endpoint: str):
    config = documented()[1]
    with pytest.raises(ConfigError, match=r"store\.endpoint: must be https"):
        check({**config, "store": {**config["store"], "endpoint": endpoint}}, FILE)


@pytest.mark.parametrize("endpoint", [None, "https://s3.eu-central-1.amazonaws.com"])
def test_restricted_records_are_sealed_on_prem(endpoint: str | None):
    config = documented()[1]
    elsewhere = {**config, "store": {**config["store"], "endpoint": endpoint}}
    with pytest.raises(ConfigError, match="must stay on-prem"):
        check(elsewhere, FILE)
    assert isinstance(check({**elsewhere, "class": "confidential"}, FILE), SealerConfig)


def test_the_sealing_interval_is_at_most_a_minute():
    with pytest.raises(ConfigError, match="every_s"):
        check({**documented()[1], "every_s": 61}, FILE)


@pytest.mark.parametrize("text", ["no key", "-----BEGIN PUBLIC KEY-----\nMCo=\n-----END PUBLIC KEY-----\n"])
def test_an_invalid_seal_key_stops_the_start_of_the_gateway(tmp_path: Path, text: str):
    (tmp_path / "bad.pem").write_text(text)
    plain = {key: value for key, value in audit().items() if key != "content"}
    settings = AuditSettings(**{**plain, "seal_key": tmp_path / "bad.pem"})
    with pytest.raises(ConfigError, match=r"audit\.seal_key: .*bad\.pem cannot be used"):
        AuditLog(settings, "restricted", "fra1", Metrics("restricted"))


def test_an_invalid_signing_key_stops_the_start_of_the_sealer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from edge.__main__ import main

    (tmp_path / "key").write_text("x")
    (tmp_path / "credentials").write_text("[default]\n")
    config = documented()[1]
    config["signing_key"] = str(tmp_path / "key")
    config["store"] |= {"credentials": str(tmp_path / "credentials")}
    del config["store"]["ca"]
    with (tmp_path / "config.yaml").open("w") as stream:
        YAML().dump(config, stream)
    assert main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert "signing_key" in capsys.readouterr().err
