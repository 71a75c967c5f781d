"""A gateway where there is no cluster: what its settings may say, and what is refused with which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
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


def test_a_platform_without_a_cluster_is_whole():
    platform = CheckedPlatform.model_validate(cloud())
    (gateway,) = platform.gateways
    assert (gateway.runs_on, platform.identities[0].assumed_by) == ("fargate", "ecs-tasks")
    assert (platform.images.vllm, platform.images.credential_helper, platform.trust) == (None, None, [])
    assert platform.monitoring.namespace is None


def test_unless_it_says_otherwise_a_gateway_runs_on_kubernetes_and_an_identity_is_had_by_certificate():
    platform = CheckedPlatform.model_validate(bank())
    assert {gateway.runs_on for gateway in platform.gateways} == {"kubernetes"}
    assert {identity.assumed_by for identity in platform.identities} == {"roles-anywhere"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a gateway of a cluster where there is none": (
        changed("gateways", runs_on=None),
        "runs on Kubernetes, and frankfurt has no cluster",
    ),
    "no settings": (changed("gateways", fargate=None), "runs on Fargate and has no settings for it"),
    "a name of Kubernetes for the callers": (
        changed("gateways", callers_secret="internal-callers"),
        "its callers_secret is no secret of AWS Secrets Manager",
    ),
    "no certificate": (
        changed("gateways", certificate_secret=None),
        "its certificate_secret is no secret of AWS Secrets Manager",
    ),
    "a host of a cluster": (
        changed("gateways", host="internal-gateway.isthmus-internal.svc"),
        "is no DNS name of a private zone",
    ),
    "a named way out": (
        changed("gateways", destinations=[{"name": "aws", "cidr": "10.90.0.0/16", "port": 443}]),
        "whose ways out are the private endpoints",
    ),
    "a size that AWS does not offer": (
        changed("gateways", fargate=fargate(memory=16384)),
        "16384 MiB with 1024 CPU units, which AWS does not offer",
    ),
    "everybody as a client": (
        changed("gateways", fargate=fargate(clients=["0.0.0.0/1"])),
        "0.0.0.0/1",
    ),
    "a part of the world as a client": (
        changed("gateways", fargate=fargate(clients=["48.0.0.0/5"])),
        "is no network of applications",
    ),
    "no client": (changed("gateways", fargate=fargate(clients=[])), "fargate.clients"),
    "logs for less than the class keeps records": (
        changed("gateways", fargate=fargate(log_days=30)),
        "30 days, and class internal keeps records 365 days",
    ),
    "an identity by certificate": (
        changed("identities", assumed_by=None),
        "runs on fargate, and no task of ECS may have identity internal-frankfurt",
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
        "is had by its task, and names a trust",
    ),
    "a network without what starts a task": (
        changed("networks", services=["bedrock-runtime", "ecr.api", "ecr.dkr", "s3"]),
        "has no private endpoint for logs and secretsmanager",
    ),
    "names that do not lead to the endpoints": (
        changed("networks", private_dns=False),
        "the services' own names do not lead to the endpoints",
    ),
    "a network that does not carry the class": (
        changed("networks", classes=["public"]),
        "no network at frankfurt carries internal work",
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


def test_a_gateway_on_fargate_stands_at_no_site_of_ones_own():
    data = bank()
    data["gateways"][2] |= {"runs_on": "fargate"}
    assert "runs on Fargate, and fra1 is an on-prem site" in refused(data)


def test_a_gateway_in_a_cluster_takes_no_settings_and_no_secrets_of_fargate():
    data = bank()
    data["gateways"][2] |= {"fargate": cloud()["gateways"][0]["fargate"]}
    assert "runs on Kubernetes and has settings of Fargate" in refused(data)
    data = bank()
    data["gateways"][2] |= {"callers_secret": cloud()["gateways"][0]["callers_secret"]}
    assert "its callers_secret is one of AWS" in refused(data)


def test_where_there_is_a_cluster_somebody_is_named_who_may_scrape():
    data = bank()
    data["monitoring"] = {}
    assert "no namespace is named that may scrape" in refused(data)


def test_a_model_server_needs_the_image_of_vllm():
    data = bank()
    data["images"].pop("vllm")
    assert "no image of vLLM is named" in refused(data)
