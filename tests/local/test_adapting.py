"""Configurations of the edge, adapted to this machine: only places change, and each change is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import NotifierConfig, check
from isthmus.core.errors import EnvironmentFault
from sandbox.local.adapting import Places, Substitution, adapt
from sandbox.local.pods import Objects, Pod

POD = Pod("fra1", "isthmus-internal", "internal-gateway", "gateway", "internal", (), {})
OBJECTS = Objects(
    [POD], {}, {"internal-translator.isthmus-internal.svc": "isthmus-internal/internal-translator"}
)
FOLDERS = {
    "/etc/isthmus/tls": "/here/tls",
    "/etc/isthmus/tls/more": "/here/more",
    "/records": "/here/records",
}


def places(**models: str) -> Places:
    ports = {"listen": 20001, "health": 20002, "detector": 20003, "detector-health": 20004, "model": 20005}
    return Places(OBJECTS, lambda _, kind: ports[kind], 20100, "http://127.0.0.1:20200", "run1", models)


TOKENS = {
    "issuer": "https://sso.bank.example/realms/bank",
    "audiences": ["isthmus"],
    "through": ["chat.isthmus-internal.svc"],
    "jwks_file": "/etc/isthmus/sign-on/jwks.json",
    "workloads": [{"workload": "help", "groups": ["staff"]}],
}


def test_people_sign_on_at_this_machine_with_the_rights_of_the_platform():
    here = replace(places(), issuer="http://127.0.0.1:20300/realms/bank", caller="developer.sandbox.local")
    tokens = adapt(gateway(tokens=TOKENS), POD, FOLDERS, here)[0]["tokens"]
    assert tokens["issuer"] == "http://127.0.0.1:20300/realms/bank"
    assert tokens["jwks_url"].startswith("http://127.0.0.1:20300/realms/bank/")
    assert "jwks_file" not in tokens
    assert tokens["through"] == ["chat.isthmus-internal.svc", "developer.sandbox.local"]
    assert (tokens["workloads"], tokens["audiences"]) == (TOKENS["workloads"], ["isthmus"])


def test_without_a_sign_on_here_no_token_is_accepted():
    config, told = adapted(gateway(tokens=TOKENS))
    assert "tokens" not in config
    assert any(each.what == "tokens" and each.now == "nothing" for each in told)


def adapted(config: dict[str, Any], **models: str) -> tuple[dict[str, Any], list[Substitution]]:
    return adapt(config, POD, FOLDERS, places(**models))


def gateway(**more: Any) -> dict[str, Any]:
    return {
        "mode": "gateway",
        "class": "internal",
        "listen": {"host": "0.0.0.0", "port": 8443, "key": "/etc/isthmus/tls/tls.key"},  # noqa: S104
        "routes": [{"workload": "help", "url": "https://internal-translator.isthmus-internal.svc:8443"}],
        **more,
    }


def test_a_route_leads_to_the_process_of_the_pods_behind_its_service():
    config, told = adapted(gateway())
    assert config["routes"] == [{"workload": "help", "url": "https://127.0.0.1:20001"}]
    assert any(each.what == "route of help" and each.now == "https://127.0.0.1:20001" for each in told)


def test_one_process_stands_for_the_replicas_that_a_name_lists():
    place = {
        "url": "https://internal-translator.isthmus-internal.svc:8443",
        "by_replica": True,
        "replicas": 3,
    }
    config, told = adapted(gateway(routes=[{"workload": "help", **place}]))
    assert config["routes"] == [{"workload": "help", "url": "https://127.0.0.1:20001"}]
    assert {"by_replica", "replicas"} <= {each.what for each in told}


def test_a_path_below_a_volume_becomes_one_of_this_machine():
    config, _ = adapted(gateway(seal="/etc/isthmus/tls/more/seal.pem", other="/etc/isthmus/tlsx"))
    assert config["listen"]["key"] == "/here/tls/tls.key"
    assert config["seal"] == "/here/more/seal.pem"
    assert config["other"] == "/etc/isthmus/tlsx"


def test_what_decides_stays_as_it_was_rendered():
    rules = {
        "limits": {"max_body_bytes": 1000},
        "workloads": [{"name": "help", "impact": "high", "review": {"below_confidence": 0.7}}],
        "screening": {"detector": "http://127.0.0.1:8460", "guards": [{"name": "attacks", "then": "block"}]},
    }
    config, told = adapted(gateway(**rules))
    assert config["limits"] == rules["limits"]
    assert config["workloads"] == rules["workloads"]
    assert config["screening"]["guards"] == rules["screening"]["guards"]
    assert not [each for each in told if each.what.startswith(("limits", "workloads", "screening.guards"))]


def test_the_database_of_each_class_is_one_of_this_machine():
    database = {"host": "db.example", "port": 5432, "name": "isthmus", "user": "gateway", "ca": "/records/ca"}
    config, told = adapted(gateway(database=database))
    assert config["database"] == {
        "host": "127.0.0.1",
        "port": 20100,
        "name": "isthmus_internal",
        "user": "gateway",
    }
    assert {each.what for each in told} >= {"database.host", "database.port", "database.name", "database.ca"}


def test_a_name_that_no_pod_serves_is_an_error():
    stray = gateway(routes=[{"workload": "help", "url": "https://stray.isthmus-internal.svc:8443"}])
    with pytest.raises(EnvironmentFault, match=r"stray\.isthmus-internal\.svc"):
        adapted(stray)


def test_a_sealer_writes_to_a_store_of_this_run_alone():
    store = {"endpoint": "https://s3.example", "bucket": "records", "ca": "/records/ca", "prefix": "internal"}
    keys = {"signing_key": "/sealer/sealer.key.pem"}
    config, _ = adapted({"mode": "sealer", "class": "internal", "store": store, **keys})
    assert config["store"] == {
        "endpoint": "http://127.0.0.1:20200",
        "bucket": "records-run1",
        "prefix": "internal",
        # In AWS a sealer has an identity; here it has keys, beside the one that signs.
        "credentials": "/sealer/credentials",
    }
    named = {**store, "credentials": "/own/credentials"}
    config, _ = adapted({"mode": "sealer", "class": "internal", "store": named, **keys})
    assert config["store"]["credentials"] == "/own/credentials"


def test_a_detector_without_a_languages_model_covers_what_it_has_first():
    models = [
        {"file": "/models/de.whl", "sha256": "a", "language": "de"},
        {"file": "/models/en.whl", "sha256": "b", "language": "en"},
    ]
    rules = {"languages": ["de", "en"], "models": models}
    config, told = adapted(
        {"mode": "detector", "class": "internal", "rules": rules, "workers": 2}, **{"en.whl": "/here/en.whl"}
    )
    assert config["rules"]["models"] == [{"file": "/here/en.whl", "sha256": "b", "language": "en"}]
    assert config["rules"]["languages"] == ["en", "de"]
    assert Substitution(POD.label, "rules.models", "/models/de.whl, /models/en.whl", "/here/en.whl") in told


def reviewing() -> dict[str, Any]:
    return {
        **{"mode": "reviews", "class": "internal", "tokens": {**TOKENS, "through": []}},
        "desk": {
            "listen": {"host": "0.0.0.0", "port": 8445},  # noqa: S104
            "url": "https://reviews.bank.example",
            "groups": [{"groups": ["desk"], "role": "reviewer"}],
        },
    }


def test_people_open_a_desk_at_the_proxy_of_its_sign_on_here():
    ports = {"desk": 20006, "listen": 20007}
    here = Places(
        *(OBJECTS, lambda _, kind: ports[kind], 20100, "http://127.0.0.1:20200", "run1"),
        issuer="http://127.0.0.1:20300/realms/bank",
    )
    config, _ = adapt(reviewing(), POD, FOLDERS, here)
    assert config["desk"]["listen"] == {"host": "127.0.0.1", "port": 20006}
    assert config["desk"]["url"] == "https://127.0.0.1:20007"
    assert config["desk"]["groups"] == [{"groups": ["desk"], "role": "reviewer"}]
    assert config["tokens"]["issuer"] == "http://127.0.0.1:20300/realms/bank"


def test_without_a_sign_on_here_there_is_no_desk():
    config, told = adapted(reviewing())
    assert not {"tokens", "desk"} & set(config)
    assert any(each.what == "desk" and each.now == "nothing" for each in told)


def notifying(data_class: str = "internal") -> dict[str, Any]:
    mail = {"relay": "smtp.bank.example", "address": "10.40.0.25", "port": 587, "tls": "starttls"}
    people = {"sender": "isthmus@bank.example", "to": ["desk@bank.example"]}
    signing_in = {"user": "isthmus", "password": "/etc/isthmus/targets/desk/password"}
    return {
        **{"mode": "notifier", "class": data_class, "site": "fra1", "default": ["desk"], "gather_s": 60},
        **{"link": "https://reviews.bank.example", "relay_ca": "/etc/isthmus/relay/ca.crt"},
        "health": {"host": "0.0.0.0", "port": 9090},  # noqa: S104
        "database": {"host": "postgres", "user": "notifier", "password": "/etc/isthmus/notifier/password"},
        "targets": [
            {"name": "desk", "mail": {**mail, **people, **signing_in}},
            {"name": "chat", "service": "slack", "url": "/etc/isthmus/targets/chat/url"},
            {"name": "on-call", "on_call": "/etc/isthmus/on-call/on-call/on-call.yaml"},
        ],
        **({"networks": ["10.40.0.0/16"]} if data_class == "restricted" else {}),
    }


@pytest.mark.parametrize("data_class", ["internal", "restricted"])
def test_a_notifier_sends_mail_to_this_machine_alone(data_class: str):
    config, told = adapted(notifying(data_class))
    config["targets"] = config["targets"] if data_class == "internal" else config["targets"][:1]
    read = check(config, Path("notifier.yaml"))
    assert isinstance(read, NotifierConfig)
    mails = [target.mail for target in read.targets]
    assert all(
        mail is not None and (mail.relay, mail.port, mail.user) == ("127.0.0.1", 20001, None)
        for mail in mails
    )
    assert next(mail.to for mail in mails if mail is not None) == ["desk@bank.example"]
    assert read.link == "https://reviews.bank.example", "there is no desk here"
    what = {entry.what: entry.was for entry in told}
    assert what["targets.desk.mail"] == "smtp.bank.example"
    assert what["targets.chat.service"] == "slack"


def test_a_calendar_that_is_here_stays(tmp_path: Path):
    (tmp_path / "on-call.yaml").write_text("time_zone: UTC\n")
    folders = {"/etc/isthmus/on-call/on-call": str(tmp_path)}
    config, _ = adapt(notifying(), POD, folders, places())
    assert config["targets"][2] == {"name": "on-call", "on_call": str(tmp_path / "on-call.yaml")}
