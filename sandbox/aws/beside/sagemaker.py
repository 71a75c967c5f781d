"""Amazon SageMaker hosting: models, endpoint configurations and endpoints.

moto lacks network isolation, shadow variants, volume keys, updates, rollback, and recent instance types. Nothing is
hosted here: an endpoint is in service at once. As in AWS, a deployment is rolled back if its alarm is in ALARM (moto's
CloudWatch, `SetAlarmState`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.aws.sagemaker import has_disks
from sandbox.aws.beside import autoscaling, naming
from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]


@dataclass
class State:
    """The resources of one account and region by name, and tags by ARN."""

    models: dict[str, Entry] = field(default_factory=dict)
    configs: dict[str, Entry] = field(default_factory=dict)
    endpoints: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)


STATE = Memory(State)
_KINDS = {
    "models": ("model", "ModelName", "ModelArn"),
    "configs": ("endpoint-config", "EndpointConfigName", "EndpointConfigArn"),
    "endpoints": ("endpoint", "EndpointName", "EndpointArn"),
}


def validation_error(message: str) -> Refused:
    return Refused("ValidationException", 400, message)


def _arn(request: ServiceRequest, kind: str, name: str) -> str:
    # SageMaker writes names in its ARNs in lower case.
    return naming.arn(request, "sagemaker", f"{kind}/{name.lower()}")


def _create(request: ServiceRequest, kind_name: str, entry: Entry) -> dict[str, str]:
    kind, name, arn = _KINDS[kind_name]
    existing: dict[str, Entry] = getattr(STATE.of(request), kind_name)
    if entry[name] in existing:
        raise validation_error(f"Cannot create already existing {kind} '{_arn(request, kind, entry[name])}'.")
    resource_arn = _arn(request, kind, entry[name])
    tags = entry.pop("Tags", None) or []
    STATE.of(request).tags[resource_arn] = {tag["Key"]: tag["Value"] for tag in tags}
    existing[entry[name]] = {**entry, arn: resource_arn, "CreationTime": now()}
    return {arn: resource_arn}


def _find(request: ServiceRequest, kind_name: str, name: str | None = None) -> Entry:
    kind, key, _ = _KINDS[kind_name]
    resource_name = name or request.params[key]
    resource = getattr(STATE.of(request), kind_name).get(resource_name)
    if resource is None:
        raise validation_error(
            f"Could not find {kind.replace('-config', ' configuration')} '{_arn(request, kind, resource_name)}'."
        )
    return resource


def _delete(request: ServiceRequest, kind_name: str) -> Entry:
    resource = _find(request, kind_name)
    _, name, arn = _KINDS[kind_name]
    STATE.of(request).tags.pop(resource[arn], None)
    del getattr(STATE.of(request), kind_name)[resource[name]]
    return {}


def _list(request: ServiceRequest, kind_name: str, member: str, *more: str) -> Entry:
    """List all resources of a kind in one page."""
    keys = (*_KINDS[kind_name][1:], "CreationTime", *more)
    return {
        member: [
            {key: resource[key] for key in keys}
            for resource in getattr(STATE.of(request), kind_name).values()
        ]
    }


# -- models and configurations


def create_model(request: ServiceRequest) -> dict[str, str]:
    if "PrimaryContainer" not in request.params and "Containers" not in request.params:
        raise validation_error("A model needs a primary container, or containers.")
    return _create(request, "models", {"EnableNetworkIsolation": False, **request.params})


def create_config(request: ServiceRequest) -> dict[str, str]:
    """Create an endpoint configuration.

    As in AWS, raises `Refused` for a missing model, for a volume key or size with an instance type that has disks, and
    for a shadow variant of several production variants.
    """
    params = request.params
    variants, shadows = params["ProductionVariants"], params.get("ShadowProductionVariants") or []
    for variant in [*variants, *shadows]:
        _find(request, "models", variant["ModelName"])
        if "InstanceType" in variant and has_disks(variant["InstanceType"]):
            if params.get("KmsKeyId"):
                raise validation_error(
                    f"KmsKeyId is not supported for instance type {variant['InstanceType']}."
                )
            if variant.get("VolumeSizeInGB"):
                raise validation_error(
                    f"VolumeSizeInGB is not supported for instance type {variant['InstanceType']}."
                )
    names = [variant["VariantName"] for variant in [*variants, *shadows]]
    if len(set(names)) < len(names):
        raise validation_error("Variant names must be unique.")
    if shadows and len(variants) != 1:
        raise validation_error("With a shadow variant there is one production variant.")
    weighted_variants = [{"InitialVariantWeight": 1.0, **variant} for variant in variants]
    return _create(request, "configs", {**params, "ProductionVariants": weighted_variants})


# -- endpoints


def create_endpoint(request: ServiceRequest) -> dict[str, str]:
    config = _find(request, "configs", request.params["EndpointConfigName"])
    _firing_alarms(request)
    entry = {key: value for key, value in request.params.items() if key != "DeploymentConfig"}
    answer = _create(request, "endpoints", entry)
    _deploy(request, _find(request, "endpoints"), config)
    return answer


def update_endpoint(request: ServiceRequest) -> dict[str, str]:
    endpoint = _find(request, "endpoints")
    config = _find(request, "configs", request.params["EndpointConfigName"])
    before = {
        variant["VariantName"]: variant
        for variant in _production_variants(request, endpoint["EndpointConfigName"])
    }
    for variant in config["ProductionVariants"]:
        old: Entry = before.get(variant["VariantName"]) or variant
        scaled = f"endpoint/{endpoint['EndpointName']}/variant/{variant['VariantName']}"
        if old.get("InstanceType") != variant.get("InstanceType") and autoscaling.is_registered(
            request, scaled
        ):
            raise validation_error(
                f"The instance type of {scaled} cannot change while it is registered for auto scaling."
            )
    if _firing_alarms(request):
        # Rolled back: the old configuration stays in service, but the deployment is recorded as the last one.
        endpoint["LastDeploymentConfig"] = request.params["DeploymentConfig"]
        endpoint["LastModifiedTime"] = now()
    else:
        _deploy(request, endpoint, config)
    return {"EndpointArn": endpoint["EndpointArn"]}


def _production_variants(request: ServiceRequest, config: str) -> list[Entry]:
    """Return the production variants of a configuration, none if it was deleted."""
    configuration = STATE.of(request).configs.get(config)
    return list(configuration["ProductionVariants"]) if configuration else []


def _deploy(request: ServiceRequest, endpoint: Entry, config: Entry) -> None:
    endpoint["EndpointConfigName"] = config["EndpointConfigName"]
    endpoint["EndpointStatus"] = "InService"
    endpoint["LastModifiedTime"] = now()
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        endpoint[key] = [
            {
                "VariantName": variant["VariantName"],
                "CurrentWeight": variant.get("InitialVariantWeight", 1.0),
                "DesiredWeight": variant.get("InitialVariantWeight", 1.0),
                "CurrentInstanceCount": variant.get("InitialInstanceCount", 1),
                "DesiredInstanceCount": variant.get("InitialInstanceCount", 1),
            }
            for variant in config.get(key) or []
        ]
    endpoint.pop("LastDeploymentConfig", None)
    if "DeploymentConfig" in request.params:
        endpoint["LastDeploymentConfig"] = request.params["DeploymentConfig"]


def _firing_alarms(request: ServiceRequest) -> list[str]:
    """Return the deployment's alarms that are in ALARM. Raises `Refused` if an alarm does not exist."""
    from moto.cloudwatch.models import cloudwatch_backends

    config = request.params.get("DeploymentConfig") or {}
    alarm_names = [
        alarm["AlarmName"] for alarm in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
    ]
    alarms = cloudwatch_backends[request.account][request.region].alarms
    for name in alarm_names:
        if name not in alarms:
            raise validation_error(f"Alarm {name} does not exist.")
    return [name for name in alarm_names if alarms[name].state_value == "ALARM"]


def describe_endpoint(request: ServiceRequest) -> Entry:
    return {key: value for key, value in _find(request, "endpoints").items() if value != []}


# -- tags


def _tags(request: ServiceRequest) -> dict[str, str]:
    tags = STATE.of(request).tags.get(request.params["ResourceArn"])
    if tags is None:
        raise validation_error(f"Could not find resource '{request.params['ResourceArn']}'.")
    return tags


def _describe_tags(tags: dict[str, str]) -> Entry:
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def add_tags(request: ServiceRequest) -> Entry:
    tags = _tags(request)
    tags |= {tag["Key"]: tag["Value"] for tag in request.params["Tags"]}
    return _describe_tags(tags)


def delete_tags(request: ServiceRequest) -> Entry:
    for key in request.params["TagKeys"]:
        _tags(request).pop(key, None)
    return {}


_SHOWN = ("LastModifiedTime", "EndpointStatus")
OPERATIONS = (
    Operation("sagemaker", "CreateModel", create_model),
    Operation("sagemaker", "DescribeModel", lambda request: _find(request, "models")),
    Operation("sagemaker", "ListModels", lambda request: _list(request, "models", "Models")),
    Operation(
        "sagemaker", "ListEndpointConfigs", lambda request: _list(request, "configs", "EndpointConfigs")
    ),
    Operation("sagemaker", "DeleteModel", lambda request: _delete(request, "models")),
    Operation("sagemaker", "CreateEndpointConfig", create_config),
    Operation("sagemaker", "DescribeEndpointConfig", lambda request: _find(request, "configs")),
    Operation("sagemaker", "DeleteEndpointConfig", lambda request: _delete(request, "configs")),
    Operation("sagemaker", "CreateEndpoint", create_endpoint),
    Operation("sagemaker", "UpdateEndpoint", update_endpoint),
    Operation("sagemaker", "DescribeEndpoint", describe_endpoint),
    Operation(
        "sagemaker", "ListEndpoints", lambda request: _list(request, "endpoints", "Endpoints", *_SHOWN)
    ),
    Operation("sagemaker", "DeleteEndpoint", lambda request: _delete(request, "endpoints")),
    Operation("sagemaker", "AddTags", add_tags),
    Operation("sagemaker", "ListTags", lambda request: _describe_tags(_tags(request))),
    Operation("sagemaker", "DeleteTags", delete_tags),
)
