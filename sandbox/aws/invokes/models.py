"""Functions about Bedrock's models and the account's quotas, which stacks check before they deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused

_MODEL = "aws:bedrockfoundation/getModel:getModel"
_QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota"


def _required(token: str, args: Mapping[str, Any], name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise CallRefused(f"{token}: `{name}` is required and missing")
    return value


def _call_aws(token: str, subject: str, call: Callable[[], Any]) -> Any:
    """Return the answer of `call`. Raises `CallRefused` with AWS's message."""
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        return call()
    except ParamValidationError:
        raise CallRefused(f"{token}: `{subject}` does not have the form that AWS requires") from None
    except ClientError as error:
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        raise CallRefused(f"{token}: `{subject}`: {detail.get('Message')} ({code})", code) from None


def foundation_model(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model of the region by `modelId`, an id or ARN. Raises `CallRefused` if the region lacks it."""
    model_id = _required(_MODEL, args, "modelId")
    client = api.client("bedrock", args.get("region"))
    response = _call_aws(_MODEL, model_id, lambda: client.get_foundation_model(modelIdentifier=model_id))
    model = response["modelDetails"]
    return {
        "id": model["modelId"],
        "modelId": model_id,
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
    """Return the account's value of one quota, by `quotaCode` or `quotaName`, and AWS's default value."""
    service = _required(_QUOTA, args, "serviceCode")
    code, name = args.get("quotaCode"), args.get("quotaName")
    if bool(code) == bool(name):
        raise CallRefused(f"{_QUOTA}: set either `quotaCode` or `quotaName`, not both")
    client = api.client("service-quotas", args.get("region"))
    if name:
        quota = _find_quota(client, service, str(name))
    else:
        names = {"ServiceCode": service, "QuotaCode": code}
        quota = _call_aws(_QUOTA, str(code), lambda: client.get_service_quota(**names))["Quota"]
    names = {"ServiceCode": service, "QuotaCode": quota["QuotaCode"]}
    default = _call_aws(_QUOTA, quota["QuotaCode"], lambda: client.get_aws_default_service_quota(**names))
    return {
        "id": quota["QuotaArn"],
        "arn": quota["QuotaArn"],
        "adjustable": quota["Adjustable"],
        "defaultValue": default["Quota"]["Value"],
        "globalQuota": quota["GlobalQuota"],
        "quotaCode": quota["QuotaCode"],
        "quotaName": quota["QuotaName"],
        "serviceCode": quota["ServiceCode"],
        "serviceName": quota["ServiceName"],
        "usageMetrics": [],
        "value": quota["Value"],
        "region": args.get("region") or api.settings.region,
    }


def _find_quota(client: Any, service: str, name: str) -> dict[str, Any]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=service)
    quotas = _call_aws(_QUOTA, name, lambda: [quota for page in pages for quota in page["Quotas"]])
    matches = [quota for quota in quotas if quota["QuotaName"] == name]
    if len(matches) != 1:
        how_many = f"{len(matches)} quotas" if matches else "no quota"
        raise CallRefused(f"{_QUOTA}: {service} has {how_many} with the name `{name}`")
    return matches[0]


INVOKES = {_MODEL: foundation_model, _QUOTA: service_quota}
