"""What a stack of one layer builds at an AWS site, and how it reaches the site's cluster."""

from __future__ import annotations

from typing import Any

import pulumi

from components.base.stack_scope import Scope
from components.sites.aws import AwsSite
from isthmus.contracts.platform.layers import ClusterGiven, HostedGiven, NetworkGiven
from isthmus.contracts.platform.model.aws.sagemaker import SageMaker
from isthmus.contracts.platform.model.platform import Platform
from tests import private
from tests.components.conftest import Engine

GIVEN = ClusterGiven(name="llm", endpoint="https://eks.example", certificate_authority="Q0E=")
HOSTED = "claims"


def no_options(*_: Any) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions()


def serving_site(platform: Platform, **scope: Any) -> AwsSite:
    return AwsSite("insurer", platform, platform.site("frankfurt"), no_options, Scope("serving", **scope))


def hosting_platform() -> Platform:
    """The private platform, whose endpoint of claims runs on SageMaker."""
    platform = private.platform()
    claims = next(endpoint for endpoint in platform.endpoints if endpoint.id == HOSTED)
    assert claims.weights is not None
    hosted = claims.model_copy(
        update={
            "target": "sagemaker",
            "sagemaker": SageMaker(instance_type="ml.g6e.2xlarge"),
            "weights": claims.weights.model_copy(update={"uri": "s3://weights/claims/"}),
        }
    )
    images = platform.images.model_copy(update={"sagemaker": f"{private.ECR}vllm@{private.DIGEST}"})
    return platform.model_copy(update={"endpoints": [hosted], "images": images})


def test_a_serving_stack_reaches_the_cluster_that_the_layer_below_made() -> None:
    access = serving_site(private.platform(), clusters={"frankfurt": GIVEN}).access
    assert access is not None
    assert (access.name, access.endpoint) == ("llm", "https://eks.example")
    assert serving_site(private.platform()).access is None


def test_a_serving_stack_makes_only_the_models_on_sagemaker_that_it_serves() -> None:
    platform = hosting_platform()
    names = {"endpoint": "claims", "role": "claims-role", "bucket": "claims-captured"}
    given = HostedGiven(**names, vpc_id="vpc-1", subnets=["subnet-a", "subnet-b"])

    def models(*serves: str) -> list[str]:
        engine = Engine()

        def program() -> pulumi.ComponentResource:
            root = pulumi.ComponentResource("test:index:Root", "root")
            networks = {
                network.name: NetworkGiven.model_construct(vpc_id="vpc-1", subnets=["subnet-a", "subnet-b"])
                for network in platform.networks
            }
            serving_site(platform, serves=frozenset(serves), networks=networks, hosted={HOSTED: given})
            return root

        engine.run(program)
        return [made.name for made in engine.made if made.type == "aws:sagemaker/endpoint:Endpoint"]

    assert len(models(HOSTED)) == 1
    assert models("another") == []
