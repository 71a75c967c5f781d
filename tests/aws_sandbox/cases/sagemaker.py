"""Cases of SageMaker's hosting, and of what scales it."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import REGION, World

_IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/vllm@sha256:{'a' * 64}"
_KEY = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000000"
_SOURCE = {"s3Uri": "s3://weights/qwen/", "s3DataType": "S3Prefix", "compressionType": "None"}
_TYPE = "aws:sagemaker/"


def model_of(world: World) -> str:
    """One that another hand made."""
    name = world.name("model")
    world.boto("sagemaker").create_model(
        ModelName=name, ExecutionRoleArn=world.role_arn(), PrimaryContainer={"Image": _IMAGE}
    )
    return name


def config_of(world: World, kind: str = "ml.g6e.12xlarge") -> str:
    name = world.name("config")
    variant = {
        "VariantName": "primary",
        "ModelName": model_of(world),
        "InitialInstanceCount": 2,
        "InstanceType": kind,
    }
    world.boto("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


def alarm(world: World) -> str:
    name = world.name("alarm")
    world.boto("cloudwatch").put_metric_alarm(
        AlarmName=name,
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    return name


def deployment(world: World, alarm_name: str | None = None) -> dict[str, Any]:
    routing = {
        "type": "CANARY",
        "waitIntervalInSeconds": 300,
        "canarySize": {"type": "CAPACITY_PERCENT", "value": 25},
    }
    return {
        "blueGreenUpdatePolicy": {
            "trafficRoutingConfiguration": routing,
            "terminationWaitInSeconds": 300,
            "maximumExecutionTimeoutInSeconds": 3600,
        },
        "autoRollbackConfiguration": {"alarms": [{"alarmName": alarm_name or alarm(world)}]},
    }


def _tagged(world: World, inputs: Inputs) -> str:
    world.boto("sagemaker").add_tags(ResourceArn=inputs["arn"], Tags=[{"Key": "class", "Value": "another's"}])
    return "tags"


def _make_model(world: World) -> Inputs:
    return {
        "name": world.name("model"),
        "executionRoleArn": world.role_arn(),
        "enableNetworkIsolation": True,
        "primaryContainer": {
            "image": _IMAGE,
            "environment": {"SM_VLLM_MODEL": "/opt/ml/model", "SM_VLLM_ENFORCE_EAGER": ""},
            "modelDataSource": {"s3DataSources": [_SOURCE]},
        },
        "vpcConfig": {"securityGroupIds": ["sg-1"], "subnets": ["subnet-1", "subnet-2"]},
        "tags": {"class": "internal"},
    }


def _make_config(world: World) -> Inputs:
    variant = {
        "variantName": "primary",
        "modelName": model_of(world),
        "instanceType": "ml.p3.2xlarge",
        "initialInstanceCount": 2,
        "inferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
        "volumeSizeInGb": 200,
        "modelDataDownloadTimeoutInSeconds": 1800,
        "containerStartupHealthCheckTimeoutInSeconds": 1800,
    }
    return {
        "name": world.name("config"),
        "kmsKeyArn": _KEY,
        "productionVariants": [variant],
        "shadowProductionVariants": [{**variant, "variantName": "shadow", "initialVariantWeight": 0.1}],
        "dataCaptureConfig": {
            "enableCapture": True,
            "initialSamplingPercentage": 10,
            "destinationS3Uri": "s3://captured/one/",
            "kmsKeyId": _KEY,
            "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
            "captureContentTypeHeader": {"jsonContentTypes": ["application/json"]},
        },
        "tags": {"class": "internal"},
    }


def _make_endpoint(world: World) -> Inputs:
    return {
        "name": world.name("endpoint"),
        "endpointConfigName": config_of(world),
        "deploymentConfig": deployment(world),
        "tags": {"class": "internal"},
    }


def _endpoint_behind(world: World, inputs: Inputs) -> str:
    other = config_of(world)
    # The deployment is the last one's.
    world.boto("sagemaker").update_endpoint(
        EndpointName=inputs["name"],
        EndpointConfigName=other,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 300,
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                },
                "TerminationWaitInSeconds": 300,
                "MaximumExecutionTimeoutInSeconds": 3600,
            },
            "AutoRollbackConfiguration": {
                "Alarms": [
                    {"AlarmName": alarm["alarmName"]}
                    for alarm in inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
                ]
            },
        },
    )
    return "endpointConfigName"


def _left(operation: str, key: str) -> Any:
    def left(world: World, inputs: Inputs) -> bool:
        client = world.boto("sagemaker")
        return bool(found(lambda: getattr(client, operation)(**{key: inputs["name"]})))

    return left


_DIMENSION = {
    "serviceNamespace": "sagemaker",
    "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
_CALL = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def _target(world: World) -> Inputs:
    resource = f"endpoint/{world.name('endpoint')}/variant/primary"
    return {
        **_DIMENSION,
        "resourceId": resource,
        "minCapacity": 2,
        "maxCapacity": 4,
        "tags": {"class": "internal"},
    }


def _target_behind(world: World, inputs: Inputs) -> str:
    world.boto("application-autoscaling").register_scalable_target(
        **_CALL, ResourceId=inputs["resourceId"], MaxCapacity=9
    )
    return "maxCapacity"


def _target_left(world: World, inputs: Inputs) -> bool:
    scaling = world.boto("application-autoscaling")
    return bool(
        scaling.describe_scalable_targets(**_CALL, ResourceIds=[inputs["resourceId"]])["ScalableTargets"]
    )


def _tracking(value: float) -> dict[str, Any]:
    metric = {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return {
        "predefinedMetricSpecification": metric,
        "targetValue": value,
        "scaleInCooldown": 600,
        "scaleOutCooldown": 120,
    }


def _policy(world: World) -> Inputs:
    resource = f"endpoint/{world.name('endpoint')}/variant/primary"
    world.boto("application-autoscaling").register_scalable_target(
        **_CALL, ResourceId=resource, MinCapacity=1, MaxCapacity=2
    )
    return {
        **_DIMENSION,
        "name": world.name("load"),
        "resourceId": resource,
        "policyType": "TargetTrackingScaling",
        "targetTrackingScalingPolicyConfiguration": _tracking(60),
    }


def _policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("application-autoscaling").put_scaling_policy(
        **_CALL,
        ResourceId=inputs["resourceId"],
        PolicyName=inputs["name"],
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 5,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleInCooldown": 600,
            "ScaleOutCooldown": 120,
        },
    )
    return "targetTrackingScalingPolicyConfiguration"


def _policy_left(world: World, inputs: Inputs) -> bool:
    scaling = world.boto("application-autoscaling")
    arguments = {"ResourceId": inputs["resourceId"], "PolicyNames": [inputs["name"]]}
    return bool(scaling.describe_scaling_policies(**_CALL, **arguments)["ScalingPolicies"])


CASES: dict[str, Case] = {
    f"{_TYPE}model:Model": Case(
        make=_make_model,
        change=changed(tags={"class": "public"}),
        replace=changed(enableNetworkIsolation=False),
        behind=_tagged,
        left=_left("describe_model", "ModelName"),
    ),
    f"{_TYPE}endpointConfiguration:EndpointConfiguration": Case(
        make=_make_config,
        change=changed(tags={"class": "public"}),
        replace=lambda world, inputs: {
            **inputs,
            "productionVariants": [{**inputs["productionVariants"][0], "initialInstanceCount": 3}],
        },
        behind=_tagged,
        left=_left("describe_endpoint_config", "EndpointConfigName"),
    ),
    f"{_TYPE}endpoint:Endpoint": Case(
        make=_make_endpoint,
        change=lambda world, inputs: {**inputs, "endpointConfigName": config_of(world)},
        replace=lambda world, inputs: {**inputs, "name": world.name("endpoint")},
        behind=_endpoint_behind,
        left=_left("describe_endpoint", "EndpointName"),
    ),
    "aws:appautoscaling/target:Target": Case(
        make=_target,
        change=changed(maxCapacity=8),
        replace=lambda world, inputs: {**inputs, "resourceId": f"endpoint/{world.name('e')}/variant/primary"},
        behind=_target_behind,
        left=_target_left,
    ),
    "aws:appautoscaling/policy:Policy": Case(
        make=_policy,
        change=changed(targetTrackingScalingPolicyConfiguration=_tracking(120)),
        replace=lambda world, inputs: {**inputs, "name": world.name("load")},
        behind=_policy_behind,
        left=_policy_left,
    ),
}
