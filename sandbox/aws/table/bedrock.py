"""Amazon Bedrock: guardrails, their versions, application inference profiles, throughput, invocation logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, pairs
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)


def _tags(scope: Scope) -> list[dict[str, str]] | None:
    return pairs(scope.get("tagsAll"), "key", "value")


def _tagging(arn: str) -> Tagging:
    return Tagging(
        put=Call(
            "tag_resource",
            {"resourceARN": f"${arn}", "tags": lambda scope: pairs(scope["tagsSet"], "key", "value")},
        ),
        remove=Call("untag_resource", {"resourceARN": f"${arn}", "tagKeys": "$tagsGone"}),
    )


def _read_tags(arn: str) -> Call:
    return Call(
        "list_tags_for_resource",
        {"resourceARN": f"${arn}"},
        result={"tagsAll": "tags[].{Key: key, Value: value}"},
        absent=_GONE,
    )


def _object(**fields: Prop) -> Prop:
    """Return an object whose members have the same names in the API as in Pulumi, unless `api` is set."""
    with_api_names = {name: replace(prop, api=prop.api or name) for name, prop in fields.items()}
    return Prop("object", fields=with_api_names)


def _list(api: str, item: Prop) -> Prop:
    return Prop("list", api=api, item=item)


_MUST = Prop(required=True)
_CHOSEN = {
    "inputAction": Prop(computed=True),
    "inputEnabled": Prop("flag", computed=True),
    "outputAction": Prop(computed=True),
    "outputEnabled": Prop("flag", computed=True),
}
"""Actions of a filter on prompts and answers. AWS chooses missing ones."""

_POLICIES = {
    "contentPolicyConfig": _object(
        filtersConfigs=_list(
            "filtersConfig",
            _object(
                type=_MUST,
                inputStrength=_MUST,
                outputStrength=_MUST,
                inputModalities=Prop("list", computed=True),
                outputModalities=Prop("list", computed=True),
                **_CHOSEN,
            ),
        ),
        tierConfigs=_list("tierConfig", _object(tierName=_MUST)),
    ),
    "contextualGroundingPolicyConfig": _object(
        filtersConfigs=_list("filtersConfig", _object(type=_MUST, threshold=Prop("number", required=True)))
    ),
    "sensitiveInformationPolicyConfig": _object(
        piiEntitiesConfigs=_list("piiEntitiesConfig", _object(type=_MUST, action=_MUST, **_CHOSEN)),
        regexesConfigs=_list(
            "regexesConfig",
            _object(name=_MUST, pattern=_MUST, action=_MUST, description=Prop(), **_CHOSEN),
        ),
    ),
    "topicPolicyConfig": _object(
        topicsConfigs=_list(
            "topicsConfig", _object(name=_MUST, definition=_MUST, type=_MUST, examples=Prop("list"))
        )
    ),
    "wordPolicyConfig": _object(
        managedWordListsConfigs=_list("managedWordListsConfig", _object(type=_MUST, **_CHOSEN)),
        wordsConfigs=_list("wordsConfig", _object(text=_MUST, **_CHOSEN)),
    ),
}
_READ_POLICIES = {
    "contentPolicyConfig": "contentPolicy.{filtersConfig: filters, tierConfig: tier && [tier]}",
    "contextualGroundingPolicyConfig": "contextualGroundingPolicy.{filtersConfig: filters}",
    "sensitiveInformationPolicyConfig": "sensitiveInformationPolicy"
    ".{piiEntitiesConfig: piiEntities, regexesConfig: regexes}",
    "topicPolicyConfig": "topicPolicy.{topicsConfig: topics}",
    "wordPolicyConfig": "wordPolicy.{managedWordListsConfig: managedWordLists, wordsConfig: words}",
}
"""In answers AWS calls `filtersConfig` `filters`, and so on."""


def _content(scope: Scope) -> Any:
    """Return the content policy for the API, which has one tier where pulumi-aws has a list of one."""
    sent = to_api(_POLICIES["contentPolicyConfig"], scope.get("contentPolicyConfig"))
    if sent and sent.get("tierConfig"):
        sent["tierConfig"] = sent["tierConfig"][0]
    return sent


_SETTINGS = {
    "name": "$name",
    "description": "$description",
    "blockedInputMessaging": "$blockedInputMessaging",
    "blockedOutputsMessaging": "$blockedOutputsMessaging",
    "kmsKeyId": "$kmsKeyArn",
    **{name: f"${name}" for name in _POLICIES},
    "contentPolicyConfig": _content,
    "crossRegionConfig": "$crossRegionConfig",
}


def _twin_by_name(
    operation: str, listing: str, name_member: str, id: Callable[[Any], str], **params: Any
) -> Any:
    """Return a `Type.find_only` by name, for resources with unique names in an account and region."""

    def find_id(call: Callable[..., Any], scope: Scope) -> str | None:
        name, page_params = scope.get("provisionedModelName", scope.get("name")), dict(params)
        while True:
            answer = call(operation, **page_params)
            for summary in answer[listing]:
                if summary[name_member] == name:
                    return id(summary)
            if not answer.get("nextToken"):
                return None
            page_params["nextToken"] = answer["nextToken"]

    return find_id


GUARDRAIL = Type(
    "aws:bedrock/guardrail:Guardrail",
    service="bedrock",
    id="{guardrailId},{version}",
    inputs={
        "blockedInputMessaging": _MUST,
        "blockedOutputsMessaging": _MUST,
        "crossRegionConfig": _object(guardrailProfileIdentifier=_MUST),
        "description": Prop(),
        "kmsKeyArn": Prop(),
        "name": Prop(),
        **_POLICIES,
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "createdAt": Prop(),
        "guardrailArn": Prop(),
        "guardrailId": Prop(),
        "status": Prop(),
        "updatedAt": Prop(computed=True),
        "version": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_guardrail",
        {**_SETTINGS, "tags": _tags},
        result={"guardrailId": "guardrailId", "guardrailArn": "guardrailArn", "version": "version"},
    ),
    find_only=_twin_by_name("list_guardrails", "guardrails", "name", lambda answer: f"{answer['id']},DRAFT"),
    reads=(
        Call(
            "get_guardrail",
            # AWS accepts a version number here. Without one it returns the draft.
            {"guardrailIdentifier": "$guardrailId"},
            result={
                "guardrailId": "guardrailId",
                "guardrailArn": "guardrailArn",
                "version": "version",
                "status": "status",
                "createdAt": "createdAt",
                "updatedAt": "updatedAt",
                "name": "name",
                "description": "description",
                "blockedInputMessaging": "blockedInputMessaging",
                "blockedOutputsMessaging": "blockedOutputsMessaging",
                "kmsKeyArn": "kmsKeyArn",
                "crossRegionConfig": "crossRegionDetails.{guardrailProfileIdentifier: guardrailProfileArn}",
                **_READ_POLICIES,
            },
            absent=_GONE,
        ),
        _read_tags("guardrailArn"),
    ),
    facets=(
        Facet(
            (
                "name",
                "description",
                "blockedInputMessaging",
                "blockedOutputsMessaging",
                "kmsKeyArn",
                "crossRegionConfig",
                *_POLICIES,
            ),
            put=Call("update_guardrail", {"guardrailIdentifier": "$guardrailId", **_SETTINGS}),
        ),
    ),
    tagging=_tagging("guardrailArn"),
    delete=Call("delete_guardrail", {"guardrailIdentifier": "$guardrailId"}, absent=_GONE),
    autoname=AutoName("name", None, longest=50),
    limits="Kept and checked for form; no prompt is looked at. That the key may be used is not checked. "
    "Nor is whether a tier knows a language. Tiers of denied topics and automated reasoning are not served.",
)

_VERSION = {"guardrailIdentifier": "$guardrailArn", "guardrailVersion": "$version"}

GUARDRAIL_VERSION = Type(
    "aws:bedrock/guardrailVersion:GuardrailVersion",
    service="bedrock",
    id="{guardrailArn},{version}",
    inputs={
        "description": Prop(replace=True),
        "guardrailArn": Prop(required=True, replace=True),
        "skipDestroy": Prop("flag", local=True),
        "region": REGION,
    },
    outputs={"version": Prop()},
    create=Call(
        "create_guardrail_version",
        {"guardrailIdentifier": "$guardrailArn", "description": "$description"},
        result={"version": "version"},
    ),
    reads=(
        Call(
            "get_guardrail",
            _VERSION,
            result={"guardrailArn": "guardrailArn", "version": "version", "description": "description"},
            absent=_GONE,
        ),
    ),
    delete=Call("delete_guardrail", _VERSION, absent=_GONE),
    limits="A version is a picture of the draft when it was made: a change of the guardrail makes none. "
    "That nothing uses a version that goes is not checked.",
)

INFERENCE_PROFILE = Type(
    "aws:bedrock/inferenceProfile:InferenceProfile",
    service="bedrock",
    id="{_id}",
    inputs={
        "description": Prop(replace=True),
        "modelSource": replace(_object(copyFrom=_MUST), replace=True, local=True, computed=True),
        "name": Prop(replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "createdAt": Prop(),
        "models": _list("models", Prop("object", fields={"modelArn": Prop(api="modelArn")})),
        "status": Prop(),
        "type": Prop(),
        "updatedAt": Prop(computed=True),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_inference_profile",
        {
            "inferenceProfileName": "$name",
            "description": "$description",
            "modelSource": "$modelSource",
            "tags": _tags,
        },
        result={
            "_id": lambda answer: answer["inferenceProfileArn"].rsplit("/", 1)[-1],
            "arn": "inferenceProfileArn",
        },
    ),
    find_only=_twin_by_name(
        "list_inference_profiles",
        "inferenceProfileSummaries",
        "inferenceProfileName",
        lambda answer: answer["inferenceProfileId"],
        typeEquals="APPLICATION",
    ),
    reads=(
        Call(
            "get_inference_profile",
            {"inferenceProfileIdentifier": "$_id"},
            result={
                "_id": "inferenceProfileId",
                "arn": "inferenceProfileArn",
                "name": "inferenceProfileName",
                "description": "description",
                "models": "models",
                "status": "status",
                "type": "type",
                "createdAt": "createdAt",
                "updatedAt": "updatedAt",
            },
            absent=_GONE,
        ),
        _read_tags("arn"),
    ),
    tagging=_tagging("arn"),
    delete=Call("delete_inference_profile", {"inferenceProfileIdentifier": "$_id"}, absent=_GONE),
    autoname=AutoName("name", None, longest=64),
    limits="Only profiles and models of the contract's table (or added to the sandbox) can be copied; "
    "whether the account may call them, or a model without a profile, is not known. No cost is counted.",
)

PROVISIONED_MODEL_THROUGHPUT = Type(
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
    service="bedrock",
    id="{provisionedModelArn}",
    inputs={
        "commitmentDuration": Prop(replace=True),
        "modelArn": Prop(required=True, replace=True),
        "modelUnits": Prop("number", required=True, replace=True),
        "provisionedModelName": Prop(required=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"provisionedModelArn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_provisioned_model_throughput",
        {
            "modelUnits": "$modelUnits",
            "provisionedModelName": "$provisionedModelName",
            "modelId": "$modelArn",
            "commitmentDuration": "$commitmentDuration",
            "tags": _tags,
        },
        result={"provisionedModelArn": "provisionedModelArn"},
    ),
    find_only=_twin_by_name(
        "list_provisioned_model_throughputs",
        "provisionedModelSummaries",
        "provisionedModelName",
        lambda answer: answer["provisionedModelArn"],
    ),
    reads=(
        Call(
            "get_provisioned_model_throughput",
            {"provisionedModelId": "$provisionedModelArn"},
            result={
                "provisionedModelArn": "provisionedModelArn",
                "provisionedModelName": "provisionedModelName",
                "modelArn": "modelArn",
                "modelUnits": "modelUnits",
                "commitmentDuration": "commitmentDuration",
            },
            absent=_GONE,
        ),
        _read_tags("provisionedModelArn"),
    ),
    tagging=_tagging("provisionedModelArn"),
    delete=Call(
        "delete_provisioned_model_throughput",
        {"provisionedModelId": "$provisionedModelArn"},
        absent=_GONE,
    ),
    limits="It is in service at once, and whether AWS has units of the model left is not known. With a "
    "commitment it refuses to go before its end, as in AWS.",
)

_BUCKET = _object(bucketName=_MUST, keyPrefix=Prop())
_ON = Prop("flag", default=True)
_LOGGING = _object(
    cloudwatchConfig=replace(
        _object(logGroupName=_MUST, roleArn=_MUST, largeDataDeliveryS3Config=_BUCKET),
        api="cloudWatchConfig",
    ),
    s3Config=_BUCKET,
    embeddingDataDeliveryEnabled=_ON,
    imageDataDeliveryEnabled=_ON,
    textDataDeliveryEnabled=_ON,
    videoDataDeliveryEnabled=_ON,
)
_PUT_LOGGING = Call("put_model_invocation_logging_configuration", {"loggingConfig": "$loggingConfig"})

INVOCATION_LOGGING = Type(
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
    service="bedrock",
    id="{region}",
    inputs={
        "loggingConfig": replace(_LOGGING, required=True),
        "region": REGION,
    },
    outputs={},
    create=_PUT_LOGGING,
    reads=(
        Call(
            "get_model_invocation_logging_configuration",
            {},
            result={"loggingConfig": "loggingConfig"},
        ),
    ),
    facets=(Facet(("loggingConfig",), put=_PUT_LOGGING),),
    is_gone=lambda scope: not scope.get("loggingConfig"),
    delete=Call("delete_model_invocation_logging_configuration", {}),
    limits="One an account and region: a second takes the place of the first without a word, as in AWS. "
    "No call is logged; that role, log group and bucket let Bedrock write is not checked.",
)

TYPES = (GUARDRAIL, GUARDRAIL_VERSION, INFERENCE_PROFILE, PROVISIONED_MODEL_THROUGHPUT, INVOCATION_LOGGING)
