"""Functions about Bedrock's models and the account's quotas: what a plan needs against what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused

_MODEL = "aws:bedrockfoundation/getModel:getModel"
_QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota"


def _needed(token: str, args: Mapping[str, Any], name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise CallRefused(f"{token}: `{name}` is required and missing")
    return value


def _asked(token: str, what: str, call: Callable[[], Any]) -> Any:
    """The answer, or `CallRefused` with AWS's words."""
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        return call()
    except ParamValidationError:
        raise CallRefused(f"{token}: `{what}` is not of the form that AWS takes") from None
    except ClientError as error:
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        raise CallRefused(f"{token}: `{what}`: {detail.get('Message')} ({code})", code) from None


def foundation_model(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """A model of the region; `modelId` is an id or an ARN. Refused where the region has none of it."""
    wanted = _needed(_MODEL, args, "modelId")
    client = api.client("bedrock", args.get("region"))
    found = _asked(_MODEL, wanted, lambda: client.get_foundation_model(modelIdentifier=wanted))
    model = found["modelDetails"]
    return {
        "id": model["modelId"],
        "modelId": wanted,
        "modelArn": model["modelArn"],
        "modelName": model.get("modelName", ""),
        "providerName": model.get("providerName", ""),
        "customizationsSupporteds": model.get("customizationsSupported", []),
        "inferenceTypesSupporteds": model.get("inferenceTypesSupported", []),
        "inputModalities": model.get("inputModalities", []),
        "outputModalities": model.get("outputModalities", []),
        "responseStreamingSupported": model.get("responseStreamingSupported", False),
        "region": args.get("region") or api.settings.region,
    }


def service_quota(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """What the account has of one quota, by `quotaCode` or `quotaName`, and AWS's own value of it."""
    service = _needed(_QUOTA, args, "serviceCode")
    code, name = args.get("quotaCode"), args.get("quotaName")
    if bool(code) == bool(name):
        raise CallRefused(f"{_QUOTA}: one of `quotaCode` and `quotaName` must be given, and not both")
    client = api.client("service-quotas", args.get("region"))
    if name:
        found = _named(client, service, str(name))
    else:
        names = {"ServiceCode": service, "QuotaCode": code}
        found = _asked(_QUOTA, str(code), lambda: client.get_service_quota(**names))["Quota"]
    names = {"ServiceCode": service, "QuotaCode": found["QuotaCode"]}
    default = _asked(_QUOTA, found["QuotaCode"], lambda: client.get_aws_default_service_quota(**names))
    return {
        "id": found["QuotaArn"],
        "arn": found["QuotaArn"],
        "adjustable": found["Adjustable"],
        "defaultValue": default["Quota"]["Value"],
        "globalQuota": found["GlobalQuota"],
        "quotaCode": found["QuotaCode"],
        "quotaName": found["QuotaName"],
        "serviceCode": found["ServiceCode"],
        "serviceName": found["ServiceName"],
        "usageMetrics": [],
        "value": found["Value"],
        "region": args.get("region") or api.settings.region,
    }


def _named(client: Any, service: str, name: str) -> dict[str, Any]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=service)
    listed = _asked(_QUOTA, name, lambda: [quota for page in pages for quota in page["Quotas"]])
    found = [quota for quota in listed if quota["QuotaName"] == name]
    if len(found) != 1:
        how_many = f"{len(found)} quotas" if found else "no quota"
        raise CallRefused(f"{_QUOTA}: {service} has {how_many} of the name `{name}`")
    return found[0]


INVOKES = {_MODEL: foundation_model, _QUOTA: service_quota}
