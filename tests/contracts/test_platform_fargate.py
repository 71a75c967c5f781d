"""Gateways on Fargate: accepted settings, and refused ones with their messages."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.rules.aws.fargate import gateways_have_a_host
from isthmus.core.errors import FieldError
from tests.components.fargate import cloud
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


def test_a_platform_without_a_cluster_is_valid():
    platform = CheckedPlatform.model_validate(cloud())
    (gateway,) = platform.gateways
    assert (gateway.runs_on, platform.identities[0].assumed_by) == ("fargate", "ecs-tasks")
    assert (platform.images.vllm, platform.images.credential_helper, platform.trust) == (None, None, [])
    assert platform.monitoring.namespace is None


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
    "logs for less than the class keeps records": (
        changed("gateways", fargate=fargate(log_days=30)),
        "30 days, and class internal keeps records 365 days",
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
