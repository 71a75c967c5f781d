"""Gateways on Fargate: accepted settings, and refused ones with their messages."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.rules.aws.fargate import fargate_gateways_are_complete, gateways_have_a_host
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.core.errors import FieldError
from tests.components.fargate import cloud, secret, used_by_people
from tests.components.platforms import bank


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        CheckedPlatform.model_validate(data)
    return str(error.value)


def changed(part: str, **changes: Any) -> dict[str, Any]:
    """The platform with changes to the only one of a part; `None` takes a key away."""
    data = cloud()
    section = data[part] if isinstance(data[part], dict) else data[part][0]
    for key, value in changes.items():
        section.pop(key, None)
        if value is not None:
            section[key] = value
    return data


def fargate(**changes: Any) -> dict[str, Any]:
    return {**cloud()["gateways"][0]["fargate"], **changes}


def bank_chat() -> dict[str, Any]:
    database = {"host": "chats.insurer.example", "address": "10.90.0.9"}
    return {
        "url": "https://chat.insurer.example",
        **{"database": database, "from_namespaces": ["ingress"]},
    }


def test_a_platform_without_a_cluster_is_valid():
    platform = CheckedPlatform.model_validate(cloud())
    (gateway,) = platform.gateways
    assert (gateway.runs_on, platform.identities[0].assumed_by) == ("fargate", "ecs-tasks")
    assert (platform.images.vllm, platform.images.credential_helper, platform.trust) == (None, None, [])
    assert platform.monitoring.namespace is None


def test_a_gateway_on_fargate_states_who_reads_its_metrics_and_by_default_nobody_does():
    def scrapers(data: dict[str, Any]) -> list[str]:
        settings = CheckedPlatform.model_validate(data).gateways[0].fargate
        assert settings is not None
        return settings.scrapers

    assert scrapers(cloud()) == []
    stated = ["10.70.4.0/24", "100.64.0.0/16"]
    assert scrapers(changed("gateways", fargate=fargate(scrapers=stated))) == stated


def test_people_use_a_gateway_on_fargate_by_tokens_whose_keys_are_in_a_secret():
    platform = CheckedPlatform.model_validate(used_by_people())
    tokens = tokens_of(platform, platform.gateways[0])
    assert tokens is not None
    assert (tokens["jwks_file"], tokens["through"]) == ("env:EDGE_SIGN_ON_KEYS", ["chat.insurer.example"])
    assert tokens["workloads"] == [{"workload": "claims", "groups": ["clerks"]}]


def test_by_default_gateways_run_on_kubernetes_and_identities_use_certificates():
    platform = CheckedPlatform.model_validate(bank())
    assert {gateway.runs_on for gateway in platform.gateways} == {"kubernetes"}
    assert {identity.assumed_by for identity in platform.identities} == {"roles-anywhere"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a gateway of a cluster where there is none": (
        changed("gateways", runs_on=None),
        "gateway internal-frankfurt runs on Kubernetes, but site frankfurt has",
    ),
    "no settings": (
        changed("gateways", fargate=None),
        "gateway internal-frankfurt runs on Fargate, but has no `fargate` sett",
    ),
    "a name of Kubernetes for the callers": (
        changed("gateways", callers_secret="internal-callers"),
        "gateway internal-frankfurt runs on Fargate, but its callers_secret is",
    ),
    "no certificate": (
        changed("gateways", certificate_secret=None),
        "gateway internal-frankfurt runs on Fargate, but its certificate_secre",
    ),
    "a host of a cluster": (
        changed("gateways", host="internal-gateway.isthmus-internal.svc"),
        "`internal-gateway.isthmus-internal.svc` is not a full DNS name in a p",
    ),
    "a named way out": (
        changed("gateways", destinations=[{"name": "aws", "cidr": "10.90.0.0/16", "port": 443}]),
        "gateway internal-frankfurt runs on Fargate, which does not support `d",
    ),
    "a size that AWS does not offer": (
        changed("gateways", fargate=fargate(memory=16384)),
        "memory is 16384 MiB, which AWS does not offer with 1024 CPU units",
    ),
    "everybody as a client": (
        changed("gateways", fargate=fargate(clients=["0.0.0.0/1"])),
        "0.0.0.0/1",
    ),
    "a part of the world as a client": (
        changed("gateways", fargate=fargate(clients=["48.0.0.0/5"])),
        "`48.0.0.0/5` is too wide for a network of applications",
    ),
    "no client": (changed("gateways", fargate=fargate(clients=[])), "fargate.clients"),
    "everybody as a scraper": (
        changed("gateways", fargate=fargate(scrapers=["0.0.0.0/0"])),
        "`0.0.0.0/0` overlaps 0.0.0.0/8",
    ),
    "a public network of a scraper": (
        changed("gateways", fargate=fargate(scrapers=["10.70.4.0/24", "52.29.1.0/24"])),
        "`52.29.1.0/24` is not a private network, but metrics are served without TLS",
    ),
    "a part of the world as a scraper": (
        changed("gateways", fargate=fargate(scrapers=["10.0.0.0/7"])),
        "`10.0.0.0/7` is too wide for a network of a Prometheus",
    ),
    "an address of a scraper without its length": (
        changed("gateways", fargate=fargate(scrapers=["10.70.4.9/24"])),
        "`10.70.4.9/24` is not an IPv4 network",
    ),
    "logs for less than the class keeps records": (
        changed("gateways", fargate=fargate(log_days=30)),
        "30 days, and class internal keeps records 365 days",
    ),
    "people without the keys of their sign-on": (
        used_by_people() | changed("gateways"),
        "gateway internal-frankfurt on Fargate does not know the keys of the s",
    ),
    "keys of a sign-on that nobody uses": (
        changed("gateways", fargate=fargate(sign_on_secret=secret("sign-on"))),
        "gateway internal-frankfurt has the keys of the sign-on, but nobody us",
    ),
    "a chat, which needs a cluster": (
        used_by_people()
        | changed("gateways", chat=bank_chat(), fargate=fargate(sign_on_secret=secret("sign-on"))),
        "gateway internal-frankfurt runs on Fargate, and a chat runs in its ga",
    ),
    "an identity by certificate": (
        changed("identities", assumed_by=None),
        "gateway internal-frankfurt runs on fargate, but identity internal-fra",
    ),
    "an identity with a trust": (
        {
            **changed("identities", trust="frankfurt"),
            "trust": [
                {
                    "name": "frankfurt",
                    "site": "frankfurt",
                    "mode": "existing",
                    "trust_anchor": "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/1",
                }
            ],
        },
        "identity internal-frankfurt is for ECS tasks, which do not support `t",
    ),
    "a network without what starts a task": (
        changed("networks", services=["bedrock-runtime", "ecr.api", "ecr.dkr", "s3"]),
        "has no private endpoint for logs and secretsmanager",
    ),
    "names that do not lead to the endpoints": (
        changed("networks", private_dns=False),
        "network frankfurt has `private_dns: false`, but Fargate needs the ser",
    ),
    "a network that does not carry the class": (
        changed("networks", classes=["public"]),
        "no network at frankfurt carries class internal, which the tasks of ga",
    ),
    "an image from elsewhere": (
        changed("images", edge="111122223333.dkr.ecr.eu-west-1.amazonaws.com/llm/edge@sha256:" + "a" * 64),
        "is not in Amazon ECR in eu-central-1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_refused_with_a_reason(name: str):
    data, message = WRONG[name]
    assert message in refused(copy.deepcopy(data))


def test_a_refused_scraper_is_named_by_its_path():
    data = changed("gateways", fargate=fargate(scrapers=["10.70.4.0/24", "52.29.1.0/24"]))
    with pytest.raises(FieldError, match="not a private network") as error:
        fargate_gateways_are_complete(Platform.model_validate(data))
    assert error.value.path == ("gateways", 0, "fargate", "scrapers", 1)
    assert error.value.refused


def test_a_wider_network_of_scrapers_is_a_loosening_and_a_narrower_one_is_not():
    field, narrow, wide = "gateways.fargate.scrapers", ["10.70.4.0/24"], ["10.70.0.0/16"]
    assert decides(field, None, narrow)
    assert decides(field, narrow, wide)
    assert not decides(field, wide, narrow)
    assert not decides(field, narrow, [])
    platform = CheckedPlatform.model_validate(changed("gateways", fargate=fargate(scrapers=narrow)))
    (stated,) = [value for value in stated_values(platform) if value.value == narrow[0]]
    assert (stated.kind, stated.where) == (
        "address_ranges",
        "gateways[internal-frankfurt].fargate.scrapers[0]",
    )


def test_restricted_work_never_runs_on_fargate():
    data = cloud()
    data["gateways"][0]["class"] = "restricted"
    data["endpoints"][0] |= {"class": "restricted"}
    message = refused(data)
    assert "restricted" in message


def test_a_class_that_may_not_use_bedrock_does_not_run_on_fargate_without_an_exception():
    data = cloud()
    for part in ("gateways", "identities", "endpoints", "guardrails"):
        data[part][0]["class"] = "confidential"
    data["networks"][0]["classes"] = ["confidential"]
    with pytest.raises(FieldError, match="runs on Fargate, which is for classes that may use Bedrock"):
        gateways_have_a_host(Platform.model_validate(data))
    workload = data["gateways"][0]["workloads"][0]["name"]
    exception = {
        "workload": workload,
        "target": "bedrock",
        "who": "CISO",
        "reason": "pilot",
        "until": "2027-01-01",
    }
    data["exceptions"] = [exception]
    gateways_have_a_host(Platform.model_validate(data))


def test_a_gateway_on_fargate_at_an_on_prem_site_is_refused():
    data = bank()
    data["gateways"][2] |= {"runs_on": "fargate"}
    assert "gateway internal-fra1 runs on Fargate, but fra1 is an on-prem site [t" in refused(data)


def test_fargate_settings_and_secrets_are_refused_for_a_gateway_in_a_cluster():
    data = bank()
    data["gateways"][2] |= {"fargate": cloud()["gateways"][0]["fargate"]}
    assert "gateway internal-fra1 runs on Kubernetes, but has `fargate` settings " in refused(data)
    data = bank()
    data["gateways"][2] |= {"callers_secret": cloud()["gateways"][0]["callers_secret"]}
    assert "gateway internal-fra1 runs on Kubernetes, but its callers_secret is a" in refused(data)


def test_a_platform_with_a_cluster_needs_a_monitoring_namespace():
    data = bank()
    data["monitoring"] = {}
    assert "monitoring.namespace is not set, so nothing could scrape models and g" in refused(data)


def test_a_model_server_needs_the_image_of_vllm():
    data = bank()
    data["images"].pop("vllm")
    assert "`images` has no vllm, which endpoint restricted-llama-70b needs" in refused(data)
