"""What the sandbox's SageMaker refuses and takes back as AWS does."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws_sandbox.cases.sagemaker import alarm, config_of, model_of
from tests.aws_sandbox.driver import World

_ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000000"


def variant(world: World, **more: Any) -> dict[str, Any]:
    arguments = {"VariantName": "primary", "ModelName": model_of(world)}
    return {**arguments, "InitialInstanceCount": 1, "InstanceType": "ml.g6e.2xlarge", **more}


@pytest.mark.parametrize(
    ("more", "shadows", "message"),
    [
        ({"KmsKeyId": _ARN}, False, "KmsKeyId is not supported for instance type ml.g6e.2xlarge"),
        ({}, True, "Variant names must be unique"),
    ],
)
def test_a_configuration_that_aws_would_refuse_is_refused(
    world: World, more: dict[str, Any], shadows: bool, message: str
) -> None:
    one = variant(world)
    if shadows:
        more = {"ShadowProductionVariants": [one]}
    with pytest.raises(ClientError, match=message):
        world.boto("sagemaker").create_endpoint_config(
            EndpointConfigName=world.name("c"), ProductionVariants=[one], **more
        )


def test_a_size_for_a_machine_with_disks_is_refused(world: World) -> None:
    with pytest.raises(ClientError, match="VolumeSizeInGB is not supported"):
        world.boto("sagemaker").create_endpoint_config(
            EndpointConfigName=world.name("c"), ProductionVariants=[variant(world, VolumeSizeInGB=100)]
        )


def routing(alarm_name: str) -> dict[str, Any]:
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm_name}]},
    }


def test_a_deployment_whose_alarm_is_on_keeps_what_served(world: World) -> None:
    sagemaker, name, watched = world.boto("sagemaker"), world.name("e"), alarm(world)
    first, second = config_of(world), config_of(world)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=first)

    def update() -> str:
        sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=second, DeploymentConfig=routing(watched)
        )
        return sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]

    for state, serves in (("ALARM", first), ("OK", second)):
        world.boto("cloudwatch").set_alarm_state(AlarmName=watched, StateValue=state, StateReason="a test")
        assert update() == serves
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=first, DeploymentConfig=routing("nobody's")
        )


def test_another_instance_type_is_refused_while_the_variant_is_scaled(world: World) -> None:
    sagemaker, name = world.boto("sagemaker"), world.name("e")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config_of(world))
    which = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/primary",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling = world.boto("application-autoscaling")
    scaling.register_scalable_target(**which, MinCapacity=1, MaxCapacity=2)
    other = config_of(world, "ml.g6e.4xlarge")
    with pytest.raises(ClientError, match="registered for auto scaling"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other)
    scaling.deregister_scalable_target(**which)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other)
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == other
