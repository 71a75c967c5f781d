"""Amazon SageMaker's hosting: models, configurations and endpoints. moto's know no isolation, shadow, key of a
volume, update or rollback, and no instance type of the last years.

Nothing is hosted. An endpoint is in service at once. A deployment whose alarm is in ALARM (moto's CloudWatch,
`SetAlarmState`) is taken back: the endpoint keeps the configuration that it had, as in AWS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.aws.sagemaker import has_disks
from sandbox.aws.beside import autoscaling, naming
from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]


@dataclass
class Held:
    """Of one account and region, each by name; tags by ARN."""

    models: dict[str, Entry] = field(default_factory=dict)
    configs: dict[str, Entry] = field(default_factory=dict)
    endpoints: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)


HELD = Memory(Held)
_KINDS = {
    "models": ("model", "ModelName", "ModelArn"),
    "configs": ("endpoint-config", "EndpointConfigName", "EndpointConfigArn"),
    "endpoints": ("endpoint", "EndpointName", "EndpointArn"),
}


def refused(message: str) -> Refused:
    return Refused("ValidationException", 400, message)


def _arn(asked: Asked, kind: str, name: str) -> str:
    # SageMaker writes names in its ARNs in small letters.
    return naming.arn(asked, "sagemaker", f"{kind}/{name.lower()}")


def _make(asked: Asked, held: str, entry: Entry) -> dict[str, str]:
    kind, name, arn = _KINDS[held]
    there: dict[str, Entry] = getattr(HELD.of(asked), held)
    if entry[name] in there:
        raise refused(f"Cannot create already existing {kind} '{_arn(asked, kind, entry[name])}'.")
    made = _arn(asked, kind, entry[name])
    tags = entry.pop("Tags", None) or []
    HELD.of(asked).tags[made] = {tag["Key"]: tag["Value"] for tag in tags}
    there[entry[name]] = {**entry, arn: made, "CreationTime": now()}
    return {arn: made}


def _find(asked: Asked, held: str, name: str | None = None) -> Entry:
    kind, key, _ = _KINDS[held]
    wanted = name or asked.params[key]
    found = getattr(HELD.of(asked), held).get(wanted)
    if found is None:
        raise refused(
            f"Could not find {kind.replace('-config', ' configuration')} '{_arn(asked, kind, wanted)}'."
        )
    return found


def _delete(asked: Asked, held: str) -> Entry:
    found = _find(asked, held)
    _, name, arn = _KINDS[held]
    HELD.of(asked).tags.pop(found[arn], None)
    del getattr(HELD.of(asked), held)[found[name]]
    return {}


def _list(asked: Asked, held: str, member: str, *more: str) -> Entry:
    """All of them in one page."""
    keys = (*_KINDS[held][1:], "CreationTime", *more)
    return {member: [{key: one[key] for key in keys} for one in getattr(HELD.of(asked), held).values()]}


# -- models and configurations


def create_model(asked: Asked) -> dict[str, str]:
    if "PrimaryContainer" not in asked.params and "Containers" not in asked.params:
        raise refused("A model needs a primary container, or containers.")
    return _make(asked, "models", {"EnableNetworkIsolation": False, **asked.params})


def create_config(asked: Asked) -> dict[str, str]:
    """Refused as by AWS: a model that is not there, a key or size for a machine with disks, a shadow of two."""
    given = asked.params
    variants, shadows = given["ProductionVariants"], given.get("ShadowProductionVariants") or []
    for variant in [*variants, *shadows]:
        _find(asked, "models", variant["ModelName"])
        if "InstanceType" in variant and has_disks(variant["InstanceType"]):
            if given.get("KmsKeyId"):
                raise refused(f"KmsKeyId is not supported for instance type {variant['InstanceType']}.")
            if variant.get("VolumeSizeInGB"):
                raise refused(f"VolumeSizeInGB is not supported for instance type {variant['InstanceType']}.")
    names = [variant["VariantName"] for variant in [*variants, *shadows]]
    if len(set(names)) < len(names):
        raise refused("Variant names must be unique.")
    if shadows and len(variants) != 1:
        raise refused("With a shadow variant there is one production variant.")
    whole = [{"InitialVariantWeight": 1.0, **variant} for variant in variants]
    return _make(asked, "configs", {**given, "ProductionVariants": whole})


# -- endpoints


def create_endpoint(asked: Asked) -> dict[str, str]:
    config = _find(asked, "configs", asked.params["EndpointConfigName"])
    _alarms(asked)
    entry = {key: value for key, value in asked.params.items() if key != "DeploymentConfig"}
    made = _make(asked, "endpoints", entry)
    _serve(asked, _find(asked, "endpoints"), config)
    return made


def update_endpoint(asked: Asked) -> dict[str, str]:
    found = _find(asked, "endpoints")
    config = _find(asked, "configs", asked.params["EndpointConfigName"])
    before = {one["VariantName"]: one for one in _variants(asked, found["EndpointConfigName"])}
    for one in config["ProductionVariants"]:
        old: Entry = before.get(one["VariantName"]) or one
        scaled = f"endpoint/{found['EndpointName']}/variant/{one['VariantName']}"
        if old.get("InstanceType") != one.get("InstanceType") and autoscaling.registered(asked, scaled):
            raise refused(
                f"The instance type of {scaled} cannot change while it is registered for auto scaling."
            )
    if _alarms(asked):
        # Taken back: what served serves on. The deployment was the last one all the same.
        found["LastDeploymentConfig"] = asked.params["DeploymentConfig"]
        found["LastModifiedTime"] = now()
    else:
        _serve(asked, found, config)
    return {"EndpointArn": found["EndpointArn"]}


def _variants(asked: Asked, config: str) -> list[Entry]:
    """Of a configuration that may be gone."""
    found = HELD.of(asked).configs.get(config)
    return list(found["ProductionVariants"]) if found else []


def _serve(asked: Asked, endpoint: Entry, config: Entry) -> None:
    endpoint["EndpointConfigName"] = config["EndpointConfigName"]
    endpoint["EndpointStatus"] = "InService"
    endpoint["LastModifiedTime"] = now()
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        endpoint[key] = [
            {
                "VariantName": one["VariantName"],
                "CurrentWeight": one.get("InitialVariantWeight", 1.0),
                "DesiredWeight": one.get("InitialVariantWeight", 1.0),
                "CurrentInstanceCount": one.get("InitialInstanceCount", 1),
                "DesiredInstanceCount": one.get("InitialInstanceCount", 1),
            }
            for one in config.get(key) or []
        ]
    endpoint.pop("LastDeploymentConfig", None)
    if "DeploymentConfig" in asked.params:
        endpoint["LastDeploymentConfig"] = asked.params["DeploymentConfig"]


def _alarms(asked: Asked) -> list[str]:
    """The deployment's alarms that are in ALARM. Raises `Refused` for one that is not there."""
    from moto.cloudwatch.models import cloudwatch_backends

    config = asked.params.get("DeploymentConfig") or {}
    named = [one["AlarmName"] for one in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []]
    there = cloudwatch_backends[asked.account][asked.region].alarms
    for name in named:
        if name not in there:
            raise refused(f"Alarm {name} does not exist.")
    return [name for name in named if there[name].state_value == "ALARM"]


def describe_endpoint(asked: Asked) -> Entry:
    return {key: value for key, value in _find(asked, "endpoints").items() if value != []}


# -- tags


def _tags(asked: Asked) -> dict[str, str]:
    found = HELD.of(asked).tags.get(asked.params["ResourceArn"])
    if found is None:
        raise refused(f"Could not find resource '{asked.params['ResourceArn']}'.")
    return found


def _shown(tags: dict[str, str]) -> Entry:
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def add_tags(asked: Asked) -> Entry:
    tags = _tags(asked)
    tags |= {tag["Key"]: tag["Value"] for tag in asked.params["Tags"]}
    return _shown(tags)


def delete_tags(asked: Asked) -> Entry:
    for key in asked.params["TagKeys"]:
        _tags(asked).pop(key, None)
    return {}


_SHOWN = ("LastModifiedTime", "EndpointStatus")
OPERATIONS = (
    Operation("sagemaker", "CreateModel", create_model),
    Operation("sagemaker", "DescribeModel", lambda asked: _find(asked, "models")),
    Operation("sagemaker", "ListModels", lambda asked: _list(asked, "models", "Models")),
    Operation("sagemaker", "ListEndpointConfigs", lambda asked: _list(asked, "configs", "EndpointConfigs")),
    Operation("sagemaker", "DeleteModel", lambda asked: _delete(asked, "models")),
    Operation("sagemaker", "CreateEndpointConfig", create_config),
    Operation("sagemaker", "DescribeEndpointConfig", lambda asked: _find(asked, "configs")),
    Operation("sagemaker", "DeleteEndpointConfig", lambda asked: _delete(asked, "configs")),
    Operation("sagemaker", "CreateEndpoint", create_endpoint),
    Operation("sagemaker", "UpdateEndpoint", update_endpoint),
    Operation("sagemaker", "DescribeEndpoint", describe_endpoint),
    Operation("sagemaker", "ListEndpoints", lambda asked: _list(asked, "endpoints", "Endpoints", *_SHOWN)),
    Operation("sagemaker", "DeleteEndpoint", lambda asked: _delete(asked, "endpoints")),
    Operation("sagemaker", "AddTags", add_tags),
    Operation("sagemaker", "ListTags", lambda asked: _shown(_tags(asked))),
    Operation("sagemaker", "DeleteTags", delete_tags),
)
