"""How a stack reaches a cluster in AWS that it makes itself."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components.aws.eks.mapping import ClusterAccess
from isthmus.contracts.platform.model.platform import Site
from isthmus.core.errors import InputError
from stacks import migration as stack_migration
from stacks import providers
from tests import private
from tests.components.conftest import Engine

SITE = Site.model_validate({**private.data()["sites"][0], "assume_role": private.ADMIN})


def test_the_kubeconfig_requests_a_token_from_eks_and_holds_no_secret() -> None:
    engine = Engine()
    config: dict[str, Any] = {}

    def program() -> Any:
        outputs = [pulumi.Output.from_input(text) for text in ("llm", "https://eks.example", "Y2E=")]
        providers.eks(SITE, ClusterAccess(*outputs))
        providers.kubeconfig(SITE, ClusterAccess(*outputs)).apply(
            lambda text: config.update(json.loads(text))
        )
        return pulumi.ComponentResource("test:index:Nothing", "nothing")

    engine.run(program)
    (provider,) = [resource for resource in engine.made if resource.type == "pulumi:providers:kubernetes"]
    assert provider.name == "frankfurt", "reports and renderings know the site by it"
    assert provider.inputs["clusterIdentifier"] == "frankfurt", "another address would make everything anew"
    cluster = config["clusters"][0]["cluster"]
    assert cluster == {"server": "https://eks.example", "certificate-authority-data": "Y2E="}
    run = config["users"][0]["user"]
    assert set(run) == {"exec"}
    arguments = " ".join(run["exec"]["args"])
    assert "eks get-token" in arguments
    assert arguments.endswith(f"--region eu-central-1 --cluster-name llm --role-arn {private.ADMIN}")


def test_room_is_made_in_the_cluster_of_an_aws_site_never_by_its_aws_provider() -> None:
    platform = private.platform()
    at: Any = {"frankfurt": "aws", "frankfurt/kubernetes": "kubernetes"}
    assert stack_migration._cluster(platform, at, "frankfurt") == "kubernetes"
    del at["frankfurt/kubernetes"]
    with pytest.raises(InputError, match="to which no context leads"):
        stack_migration._cluster(platform, at, "frankfurt")
