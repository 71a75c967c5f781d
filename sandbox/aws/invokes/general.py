"""Functions about the account, the region, policies and Bedrock's inference profiles."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused, dumps
from sandbox.aws.resources import partition


def caller_identity(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    found = api.client("sts").get_caller_identity()
    account = str(found["Account"])
    return {"id": account, "accountId": account, "arn": found["Arn"], "userId": found["UserId"]}


def get_partition(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    name, suffix = partition(api.settings.region)
    reverse = ".".join(reversed(suffix.split(".")))
    return {"id": name, "partition": name, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}


def get_region(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    region = str(args.get("region") or args.get("name") or api.settings.region)
    endpoint = f"ec2.{region}.{partition(region)[1]}"
    return {"id": region, "region": region, "name": region, "description": region, "endpoint": endpoint}


_ENTITIES = (("principals", "Principal"), ("notPrincipals", "NotPrincipal"))
_LISTS = (
    ("actions", "Action"),
    ("notActions", "NotAction"),
    ("resources", "Resource"),
    ("notResources", "NotResource"),
)


def policy_document(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """A policy from statements, as the real function words it: one entry stands alone, lists are sorted."""
    made: dict[str, Any] = {"Version": args.get("version") or "2012-10-17"}
    if args.get("policyId"):
        made["Id"] = args["policyId"]
    statements = [entry for text in args.get("sourcePolicyDocuments") or [] for entry in _entries(text)]
    statements = _merged(statements, [_statement(entry) for entry in args.get("statements") or []])
    for text in args.get("overridePolicyDocuments") or []:
        statements = _merged(statements, _entries(text))
    made["Statement"] = statements
    text = json.dumps(made, indent=2)
    return {**args, "id": str(zlib.crc32(text.encode())), "json": text, "minifiedJson": dumps(made)}


def _entries(text: str) -> list[dict[str, Any]]:
    found = json.loads(text).get("Statement", [])
    return found if isinstance(found, list) else [found]


def _merged(base: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A statement takes the place of one with the same Sid; those without are added."""
    made = list(base)
    for entry in over:
        places = [i for i, old in enumerate(made) if entry.get("Sid") and old.get("Sid") == entry["Sid"]]
        if places:
            made[places[0]] = entry
        else:
            made.append(entry)
    return made


def _statement(entry: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if entry.get("sid"):
        made["Sid"] = entry["sid"]
    made["Effect"] = entry.get("effect") or "Allow"
    for name, api in _ENTITIES:
        if entry.get(name):
            made[api] = _principals(entry[name])
    for name, api in _LISTS:
        if entry.get(name):
            made[api] = _one_or_sorted(entry[name])
    conditions: dict[str, dict[str, Any]] = {}
    for condition in entry.get("conditions") or []:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_list(
            condition["values"]
        )
    if conditions:
        made["Condition"] = conditions
    return made


def _principals(entries: list[Mapping[str, Any]]) -> Any:
    if any(entry["type"] == "*" for entry in entries):
        return "*"
    made: dict[str, list[str]] = {}
    for entry in entries:
        made.setdefault(entry["type"], []).extend(entry["identifiers"])
    return {kind: _one_or_sorted(names) for kind, names in sorted(made.items())}


def _one_or_sorted(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else sorted(set(values))


def _one_or_list(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def inference_profile(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """A Bedrock inference profile with the models, and so the regions, that it may route to."""
    import botocore.exceptions as refused

    wanted = args.get("inferenceProfileId")
    if not wanted:
        raise CallRefused("aws:bedrock/getInferenceProfile: `inferenceProfileId` is required and missing")
    client = api.client("bedrock", args.get("region"))
    try:
        found = client.get_inference_profile(inferenceProfileIdentifier=wanted)
    except refused.ClientError as error:
        message = error.response.get("Error", {}).get("Message")
        raise CallRefused(f"aws:bedrock/getInferenceProfile: `{wanted}`: {message}") from None
    return {
        "id": found["inferenceProfileId"],
        "inferenceProfileId": found["inferenceProfileId"],
        "inferenceProfileArn": found["inferenceProfileArn"],
        "inferenceProfileName": found["inferenceProfileName"],
        "description": found.get("description", ""),
        "models": [{"modelArn": model["modelArn"]} for model in found["models"]],
        "status": found["status"],
        "type": found["type"],
        "createdAt": found["createdAt"].isoformat(),
        "updatedAt": found["updatedAt"].isoformat(),
        "region": args.get("region") or api.settings.region,
    }


INVOKES = {
    "aws:bedrock/getInferenceProfile:getInferenceProfile": inference_profile,
    "aws:iam/getPolicyDocument:getPolicyDocument": policy_document,
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getPartition:getPartition": get_partition,
    "aws:index/getRegion:getRegion": get_region,
}
