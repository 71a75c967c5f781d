"""Errors of the configuration file: one paragraph with the file and the key, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.config import (
    ConfigError,
    DetectorConfig,
    GatewayConfig,
    LoaderConfig,
    NotifierConfig,
    SealerConfig,
    check,
    load,
)
from edge.tls import client_context, server_context
from tests.edge.conftest import gateway_config
from tests.edge.processes import ROOT

FILE = Path("config.yaml")


def gateway(**changes: Any) -> dict[str, Any]:
    config = gateway_config(Path("/none"), 1)
    config["listen"].update(host="0.0.0.0", port=8443)  # noqa: S104  never bound here
    config["health"] = {"host": "127.0.0.1", "port": 9090}
    return {**config, **changes}


def sidecar(**changes: Any) -> dict[str, Any]:
    config = gateway()
    common = {key: config[key] for key in ("class", "listen", "health", "limits")}
    return {
        **common,
        "mode": "sidecar",
        "allowed_clients": ["g.svc"],
        "upstream": "http://127.0.0.1:8000",
        **changes,
    }


def translator(**changes: Any) -> dict[str, Any]:
    model = {"name": "internal-haiku", "region": "eu-central-1", "inference_profile": "eu.anthropic.x-v1:0"}
    config = sidecar(mode="translator", models=[model], **{"class": "internal"})
    del config["upstream"]
    return {**config, **changes}


def test_gateway_sidecar_and_translator_files_are_accepted():
    assert check(gateway(), FILE).mode == "gateway"
    assert check(counted(), FILE).mode == "gateway"
    assert check(sidecar(), FILE).mode == "sidecar"
    assert check(translator(), FILE).mode == "translator"


def test_the_edge_accepts_the_files_that_the_components_write():
    from components.cluster.edge_files import gateway_config as gateway_file
    from components.cluster.edge_files import sidecar_config, to_yaml, translator_config

    model = {"name": "m", "region": "eu-central-1", "inference_profile": "eu.a.x", "endpoint_url": None}
    for written in (
        gateway_file("restricted", "fra1", route()),
        gateway_file("public", "fra1", route()),
        sidecar_config("restricted", ["restricted-gateway.isthmus-restricted.svc"]),
        translator_config("internal", "internal-gateway.isthmus-internal.svc", [model]),
    ):
        read = check(YAML(typ="safe", pure=True).load(to_yaml(written)), FILE)
        assert read.mode == written["mode"]
        assert not isinstance(read, SealerConfig | DetectorConfig | NotifierConfig | LoaderConfig)
        assert read.limits.drain_s == read.limits.request_timeout_s


def route(**changes: Any) -> list[dict[str, Any]]:
    return [{"workload": "w", "url": "https://m.svc:8443", "server_name": "m.svc", "model": "m", **changes}]


def place(**changes: Any) -> dict[str, Any]:
    return {"url": "https://t.svc:8443", "server_name": "t.svc", "model": "m", **changes}


def database(**changes: Any) -> dict[str, Any]:
    settings = {
        "host": "db.svc",
        "user": "gateway",
        "password": "/none/password",
        "ca": "/none/ca.crt",
        **changes,
    }
    return {key: value for key, value in settings.items() if value is not None}


def counted(**changes: Any) -> dict[str, Any]:
    """A gateway configuration with callers in a database."""
    config = gateway(**{"database": database(), "workloads": [{"name": "w"}], "routes": route(), **changes})
    del config["callers"]
    return config


def moved(releasers: int = 1, **canary: Any) -> dict[str, Any]:
    """A gateway configuration whose canary people move in steps."""
    place = {key: value for key, value in route()[0].items() if key in ("url", "server_name", "model")}
    fields = {**place, "percent": 0, "release": "v2", "steps": [1, 100], **canary}
    keys = [f"ssh-ed25519 {'a' * 68} ann"] * releasers
    return counted(routes=route(canary=fields), releasers=keys)


def judged(judge: str = "judge", **of_judge: Any) -> dict[str, Any]:
    """A gateway configuration in which another workload judges answers of a release."""
    config = moved(judge={"workload": judge, "rubric": "It names the rent.", "percent": 10, "per_day": 100})
    config["workloads"] = [{"name": "w"}, {"name": "judge"}]
    config["routes"] += [{**route()[0], "workload": "judge", "model": "judge-model", **of_judge}]
    return config


def test_a_release_in_steps_is_accepted():
    assert check(moved(), FILE).mode == "gateway"


def test_a_judge_of_the_same_gateway_is_accepted():
    assert check(judged(), FILE).mode == "gateway"


WRONG = [
    (moved(steps=[5, 1]), "steps must ascend"),
    (moved(steps=[101]), "less than or equal to 100"),
    (moved(percent=5), "percent must be 0 with steps"),
    (moved(release=None), "steps needs `release`"),
    (moved(releasers=0), "releasers is needed for the steps"),
    (judged("nobody"), "the judge 'nobody' of 'w' must be a chat workload of this gateway"),
    (judged(task="embedding"), "must be a chat workload of this gateway"),
    (judged(model=route()[0]["model"]), "is one of the models that it judges"),
    (
        gateway(**{key: moved()[key] for key in ("routes", "releasers")}),
        "database is needed for the steps",
    ),
    (counted(releasers=["ssh-rsa AAAA ann"]), "releasers.0: String should match"),
    (gateway(rotues=[]), "rotues: this key is unknown"),
    (
        gateway(mode="proxy"),
        "mode: must be gateway, sidecar, translator, sealer, detector, reviews, chat, notifier or loader",
    ),
    ({}, "mode: must be gateway, sidecar, translator, sealer, detector, reviews, chat, notifier or loader"),
    (gateway(routes=[]), "routes:"),
    (gateway(routes=route(url="http://m.svc")), "routes.0.url: must be https://"),
    (gateway(routes=route(url="https://m.svc/v1")), "routes.0.url: must be https://"),
    (gateway(routes=route(url="https://user@m.svc")), "routes.0.url: must not have a user"),
    (gateway(routes=route() + route()), "twice"),
    (
        gateway(routes=route(url="https://bedrock-runtime.eu-central-1.amazonaws.com")),
        "must stay on the site",
    ),
    (gateway(routes=route(server_name="x.amazonaws.com")), "must stay on the site"),
    (gateway(limits={"max_body_bytes": "many"}), "limits.max_body_bytes:"),
    (gateway(**{"class": "secret"}), "class:"),
    (sidecar(upstream="http://10.0.0.1:8000"), "upstream: must be http:// on a loopback address"),
    (sidecar(upstream="http://localhost:8000"), "upstream: must be http:// on a loopback address"),
    (sidecar(upstream="http://127.0.0.1.evil.example:8000"), "upstream: must be http:// on a loopback"),
    (sidecar(allowed_clients=[]), "allowed_clients:"),
    (translator(**{"class": "restricted"}), "class:"),
    (translator(models=[]), "models:"),
    (
        translator(
            models=[{"name": "m", "region": "eu-central-1", "inference_profile": "global.anthropic.x-v1:0"}]
        ),
        "may serve from any region",
    ),
    (
        translator(models=[{"name": "m", "region": "eu/../x", "inference_profile": "eu.x"}]),
        "models.0.region:",
    ),
    ([], "must be a mapping"),
    (gateway(callers=None), "callers or database"),
    (gateway(database=database()), "callers or database"),
    (counted(database=database(ca=None)), "database: ca is needed"),
    (counted(database=database(host="x.rds.amazonaws.com")), "restricted data must stay on the site"),
    (counted(traces={"endpoint": "http://otel:4318/v1/traces"}), "class restricted requires https://"),
    (
        counted(traces={"endpoint": "https://xray.eu-central-1.amazonaws.com/v1/traces"}),
        "must stay on the site",
    ),
    (counted(routes=route(overflow=place())), "restricted workload 'w' must have no overflow"),
    (
        counted(routes=route(also=[place(url="https://x.openai.com")])),
        "must stay on the site, but goes to 'x.openai.com'",
    ),
    (counted(routes=route(task="embedding", overflow=place())), "overflow is for task chat only"),
    (counted(routes=route(task="embedding", fallback=[place()])), "fallback is for task chat only"),
    (
        counted(routes=route(fallback=[place(url="https://x.openai.com")])),
        "must stay on the site, but goes to 'x.openai.com'",
    ),
    (
        counted(routes=route(interfaces=["batches"])),
        "file_store is needed for the interface batches of",
    ),
    (
        counted(routes=route(task="rerank", interfaces=["completions"])),
        "interfaces: completions is for task chat only",
    ),
    (counted(routes=route(usd_per_gpu_hour=2.5)), "usd_per_gpu_hour needs gpus"),
    (counted(routes=route(replicas=2)), "replicas needs by_replica"),
    (
        counted(model_probes={"interval_s": 5}),
        "timeout_s 10 is above interval_s 5, so probes would overlap. Set timeout_s to 5 or less",
    ),
    (
        counted(routes=route(url="https://10.0.0.7:8443", by_replica=True)),
        "by_replica needs a host name that lists the replicas",
    ),
    (counted(routes=[*route(name="a"), *route(name="a")]), "names 'a' of workload 'w' twice"),
    (counted(routes=route(workload="x")), "workload 'x' is not in `workloads`"),
    (counted(workloads=[{"name": "w", "team": "t"}]), "team 't' of 'w' is not in `teams`"),
    (
        counted(workloads=[{"name": "w", "clients": ["*.svc"]}]),
        "neither a DNS name without wildcards nor a spiffe:// id",
    ),
    (counted(workloads=[{"name": n, "clients": ["c.svc"]} for n in "wv"]), "belongs to two workloads"),
    (counted(workloads=[{"name": "w"}, {"name": "w"}]), "workloads names 'w' twice"),
    (
        counted(workloads=[{"name": "w", "allowance": {"usd_per_month": 5.0}}]),
        "'w' has a budget in USD, so 'm.svc' needs a price",
    ),
    (
        counted(
            teams=[{"name": "t", "allowance": {"usd_per_month": 5.0}}],
            workloads=[{"name": "w", "team": "t"}],
            routes=route(gpus=1.0, usd_per_gpu_hour=2.0, also=[place()]),
        ),
        "'w' has a budget in USD, so 't.svc' needs a price",
    ),
    (
        gateway(routes=route(), workloads=[{"name": "w", "allowance": {"tokens_per_month": 5}}]),
        "database is needed",
    ),
]


@pytest.mark.parametrize(("document", "says"), WRONG, ids=[says for _, says in WRONG])
def test_an_invalid_configuration_is_refused_with_its_key(document: Any, says: str):
    with pytest.raises(ConfigError) as caught:
        check(document, FILE)
    text = str(caught.value)
    assert text.startswith("config.yaml: ")
    assert says in text
    assert "\n" not in text


@pytest.mark.parametrize("missing", ["client_ca"])
@pytest.mark.parametrize("make", [gateway, sidecar, translator])
def test_mutual_tls_is_required(make: Any, missing: str):
    config = make()
    config["listen"] = {key: value for key, value in config["listen"].items() if key != missing}
    with pytest.raises(ConfigError, match="client_ca"):
        check(config, FILE)


def test_a_public_gateway_may_omit_client_certificates():
    config = gateway(**{"class": "public"})
    del config["listen"]["client_ca"]
    read = check(config, FILE)
    assert isinstance(read, GatewayConfig)
    assert read.listen.client_ca is None


def test_a_missing_certificate_is_reported_with_its_key():
    config = check(gateway(), FILE)
    assert config.mode == "gateway"
    with pytest.raises(ConfigError, match=r"^listen\.certificate: /none/gateway\.crt cannot be read"):
        server_context(config.listen)
    with pytest.raises(ConfigError, match=r"^upstream_tls\.certificate: /none/gateway\.crt"):
        client_context(config.upstream_tls)


@pytest.mark.parametrize("text", ["mode: [", "mode: gateway\nmode: sidecar\n"])
def test_unparseable_yaml_is_reported_with_its_line(tmp_path: Path, text: str):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml:\d+: the file is not YAML"):
        load(file)


def test_an_invalid_configuration_exits_2_without_a_traceback(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text("mode: gateway\nclass: restricted\n")
    ended = subprocess.run(
        [sys.executable, "-m", "edge", "--config", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"edge: {file}: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
