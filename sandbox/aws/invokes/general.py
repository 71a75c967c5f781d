"""Functions about the account, the region, policies and Bedrock's inference profiles."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused, dumps
from sandbox.aws.resources import partition


def caller_identity(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    identity = api.client("sts").get_caller_identity()
    account = str(identity["Account"])
    return {"id": account, "accountId": account, "arn": identity["Arn"], "userId": identity["UserId"]}


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
    """Return a policy document of statements, in the real function's form: single values, sorted lists."""
    document: dict[str, Any] = {"Version": args.get("version") or "2012-10-17"}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    statements = [
        entry for text in args.get("sourcePolicyDocuments") or [] for entry in _parse_statements(text)
    ]
    statements = _merged(statements, [_build_statement(entry) for entry in args.get("statements") or []])
    for text in args.get("overridePolicyDocuments") or []:
        statements = _merged(statements, _parse_statements(text))
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    return {**args, "id": str(zlib.crc32(text.encode())), "json": text, "minifiedJson": dumps(document)}


def _parse_statements(text: str) -> list[dict[str, Any]]:
    statements = json.loads(text).get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _merged(base: list[dict[str, Any]], overrides: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `base` with `overrides`: a statement replaces the one with the same Sid, others are added."""
    merged = list(base)
    for entry in overrides:
        places = [i for i, old in enumerate(merged) if entry.get("Sid") and old.get("Sid") == entry["Sid"]]
        if places:
            merged[places[0]] = entry
        else:
            merged.append(entry)
    return merged


def _build_statement(entry: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {}
    if entry.get("sid"):
        statement["Sid"] = entry["sid"]
    statement["Effect"] = entry.get("effect") or "Allow"
    for name, api in _ENTITIES:
        if entry.get(name):
            statement[api] = _principals(entry[name])
    for name, api in _LISTS:
        if entry.get(name):
            statement[api] = _one_or_sorted(entry[name])
    conditions: dict[str, dict[str, Any]] = {}
    for condition in entry.get("conditions") or []:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_list(
            condition["values"]
        )
    if conditions:
        statement["Condition"] = conditions
    return statement


def _principals(entries: list[Mapping[str, Any]]) -> Any:
    if any(entry["type"] == "*" for entry in entries):
        return "*"
    identifiers_by_type: dict[str, list[str]] = {}
    for entry in entries:
        identifiers_by_type.setdefault(entry["type"], []).extend(entry["identifiers"])
    return {kind: _one_or_sorted(names) for kind, names in sorted(identifiers_by_type.items())}


def _one_or_sorted(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else sorted(set(values))


def _one_or_list(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def inference_profile(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Bedrock inference profile with the models, and thus regions, to which it may route."""
    import botocore.exceptions as refused

    profile_id = args.get("inferenceProfileId")
    if not profile_id:
        raise CallRefused("aws:bedrock/getInferenceProfile: `inferenceProfileId` is required and missing")
    client = api.client("bedrock", args.get("region"))
    try:
        profile = client.get_inference_profile(inferenceProfileIdentifier=profile_id)
    except refused.ClientError as error:
        message = error.response.get("Error", {}).get("Message")
        raise CallRefused(f"aws:bedrock/getInferenceProfile: `{profile_id}`: {message}") from None
    return {
        "id": profile["inferenceProfileId"],
        "inferenceProfileId": profile["inferenceProfileId"],
        "inferenceProfileArn": profile["inferenceProfileArn"],
        "inferenceProfileName": profile["inferenceProfileName"],
        "description": profile.get("description", ""),
        "models": [{"modelArn": model["modelArn"]} for model in profile["models"]],
        "status": profile["status"],
        "type": profile["type"],
        "createdAt": profile["createdAt"].isoformat(),
        "updatedAt": profile["updatedAt"].isoformat(),
        "region": args.get("region") or api.settings.region,
    }


INVOKES = {
    "aws:bedrock/getInferenceProfile:getInferenceProfile": inference_profile,
    "aws:iam/getPolicyDocument:getPolicyDocument": policy_document,
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getPartition:getPartition": get_partition,
    "aws:index/getRegion:getRegion": get_region,
}
