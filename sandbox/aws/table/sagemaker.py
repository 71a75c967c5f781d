"""Amazon SageMaker: models, configurations and endpoints that serve them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ValidationException",)
"""SageMaker's error code, also for missing resources."""
_MUST = Prop(required=True)
_NUMBER = Prop("number")
_LONGEST = 63
_READ_TAGS = Call("list_tags", {"ResourceArn": "$arn"}, result={"tagsAll": "Tags"}, absent=_GONE)
_TAGGING = Tagging(
    put=Call("add_tags", {"ResourceArn": "$arn", "Tags": "$tagsSet"}),
    remove=Call("delete_tags", {"ResourceArn": "$arn", "TagKeys": "$tagsGone"}),
)
_OUTPUTS = {"arn": Prop(), "tagsAll": Prop("tags")}


def _object(**fields: Prop) -> Prop:
    return Prop("object", fields=fields)


_SOURCE = _object(s3Uri=_MUST, s3DataType=_MUST, compressionType=_MUST)
_CONTAINER = _object(
    image=Prop(),
    environment=Prop("map"),
    modelDataUrl=Prop(),
    modelDataSource=_object(s3DataSources=Prop("list", api="S3DataSource", item=_SOURCE)),
)


def _container(scope: Scope) -> Any:
    """Return the container for the API, which has one model source where Pulumi has a list of one."""
    container = to_api(_CONTAINER, scope.get("primaryContainer"))
    if container and container.get("ModelDataSource"):
        container["ModelDataSource"] = {"S3DataSource": container["ModelDataSource"]["S3DataSource"][0]}
    return container


def _read_container(answer: dict[str, Any]) -> Any:
    container = dict(answer.get("PrimaryContainer") or {})
    if container.get("ModelDataSource"):
        container["ModelDataSource"] = {"S3DataSource": [container["ModelDataSource"]["S3DataSource"]]}
    return container or None


MODEL = Type(
    "aws:sagemaker/model:Model",
    service="sagemaker",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "executionRoleArn": Prop(required=True, replace=True),
        "enableNetworkIsolation": Prop("flag", replace=True, default=False),
        "primaryContainer": replace(_CONTAINER, replace=True),
        "vpcConfig": replace(
            _object(securityGroupIds=Prop("list", required=True), subnets=Prop("list", required=True)),
            replace=True,
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs=_OUTPUTS,
    create=Call(
        "create_model",
        {
            "ModelName": "$name",
            "ExecutionRoleArn": "$executionRoleArn",
            "EnableNetworkIsolation": "$enableNetworkIsolation",
            "PrimaryContainer": _container,
            "VpcConfig": "$vpcConfig",
            "Tags": "$tagsAll",
        },
        result={"arn": "ModelArn"},
    ),
    reads=(
        Call(
            "describe_model",
            {"ModelName": "$name"},
            result={
                "arn": "ModelArn",
                "executionRoleArn": "ExecutionRoleArn",
                "enableNetworkIsolation": "EnableNetworkIsolation",
                "primaryContainer": _read_container,
                "vpcConfig": "VpcConfig",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    tagging=_TAGGING,
    delete=Call("delete_model", {"ModelName": "$name"}, absent=_GONE),
    autoname=AutoName("name", None, longest=_LONGEST),
    limits="Kept, not run: that the image can be pulled, the weights fetched and the role assumed is not known. "
    "One container only.",
)

_VARIANT = _object(
    variantName=Prop(computed=True),
    modelName=_MUST,
    instanceType=Prop(),
    initialInstanceCount=_NUMBER,
    initialVariantWeight=Prop("number", default=1),
    inferenceAmiVersion=Prop(),
    volumeSizeInGb=Prop("number", api="VolumeSizeInGB"),
    modelDataDownloadTimeoutInSeconds=_NUMBER,
    containerStartupHealthCheckTimeoutInSeconds=_NUMBER,
)
_CAPTURE = _object(
    enableCapture=Prop("flag", default=False),
    initialSamplingPercentage=Prop("number", required=True),
    destinationS3Uri=_MUST,
    kmsKeyId=Prop(),
    captureOptions=Prop("list", required=True, item=_object(captureMode=_MUST)),
    captureContentTypeHeader=_object(csvContentTypes=Prop("list"), jsonContentTypes=Prop("list")),
)

ENDPOINT_CONFIGURATION = Type(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    service="sagemaker",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "kmsKeyArn": Prop(api="KmsKeyId", replace=True),
        "productionVariants": Prop("list", required=True, replace=True, item=_VARIANT),
        "shadowProductionVariants": Prop("list", replace=True, item=_VARIANT),
        "dataCaptureConfig": replace(_CAPTURE, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs=_OUTPUTS,
    create=Call(
        "create_endpoint_config",
        {
            "EndpointConfigName": "$name",
            "KmsKeyId": "$kmsKeyArn",
            "ProductionVariants": "$productionVariants",
            "ShadowProductionVariants": "$shadowProductionVariants",
            "DataCaptureConfig": "$dataCaptureConfig",
            "Tags": "$tagsAll",
        },
        result={"arn": "EndpointConfigArn"},
    ),
    reads=(
        Call(
            "describe_endpoint_config",
            {"EndpointConfigName": "$name"},
            result={
                "arn": "EndpointConfigArn",
                "kmsKeyArn": "KmsKeyId",
                "productionVariants": "ProductionVariants",
                "shadowProductionVariants": "ShadowProductionVariants",
                "dataCaptureConfig": "DataCaptureConfig",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    tagging=_TAGGING,
    delete=Call("delete_endpoint_config", {"EndpointConfigName": "$name"}, absent=_GONE),
    autoname=AutoName("name", "namePrefix", longest=_LONGEST),
    limits="Kept and checked for form. Which types of machines take a key of ours is the contract's table, not "
    "AWS's; that the account may run any is not known. It goes while an endpoint uses it, as in AWS.",
)

_SIZE = _object(type=_MUST, value=Prop("number", required=True))
_DEPLOYMENT = _object(
    blueGreenUpdatePolicy=_object(
        trafficRoutingConfiguration=_object(
            type=_MUST,
            waitIntervalInSeconds=Prop("number", required=True),
            canarySize=_SIZE,
            linearStepSize=_SIZE,
        ),
        terminationWaitInSeconds=_NUMBER,
        maximumExecutionTimeoutInSeconds=_NUMBER,
    ),
    autoRollbackConfiguration=_object(alarms=Prop("list", item=_object(alarmName=_MUST))),
)
_SERVED = {
    "EndpointName": "$name",
    "EndpointConfigName": "$endpointConfigName",
    "DeploymentConfig": "$deploymentConfig",
}

ENDPOINT = Type(
    "aws:sagemaker/endpoint:Endpoint",
    service="sagemaker",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "endpointConfigName": _MUST,
        "deploymentConfig": _DEPLOYMENT,
        "region": REGION,
        "tags": TAGS,
    },
    outputs=_OUTPUTS,
    create=Call("create_endpoint", {**_SERVED, "Tags": "$tagsAll"}, result={"arn": "EndpointArn"}),
    reads=(
        Call(
            "describe_endpoint",
            {"EndpointName": "$name"},
            result={
                "arn": "EndpointArn",
                "endpointConfigName": "EndpointConfigName",
                "deploymentConfig": "LastDeploymentConfig",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(Facet(("endpointConfigName", "deploymentConfig"), put=Call("update_endpoint", _SERVED)),),
    tagging=_TAGGING,
    delete=Call("delete_endpoint", {"EndpointName": "$name"}, absent=_GONE),
    autoname=AutoName("name", None, longest=_LONGEST),
    limits="In service at once: no machine starts, no call is answered and no traffic moves by steps. A deployment "
    "one of whose alarms is in ALARM is taken back, as in AWS.",
)

TYPES = (MODEL, ENDPOINT_CONFIGURATION, ENDPOINT)
