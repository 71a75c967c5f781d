"""Cases of Amazon Bedrock."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import REGION, World

_ACCOUNT = "123456789012"
_MODEL = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"
_SYSTEM = f"arn:aws:bedrock:{REGION}:{_ACCOUNT}:inference-profile/eu.amazon.nova-lite-v1:0"
_KEY = f"arn:aws:kms:{REGION}:{_ACCOUNT}:key/00000000-0000-4000-8000-000000000000"

_CONTENT = {
    "filtersConfigs": [
        {"type": "PROMPT_ATTACK", "inputStrength": "HIGH", "outputStrength": "NONE"},
        {"type": "HATE", "inputStrength": "MEDIUM", "outputStrength": "MEDIUM"},
    ]
}
_STANDARD = {**_CONTENT, "tierConfigs": [{"tierName": "STANDARD"}]}
_PROFILE = f"arn:aws:bedrock:{REGION}:{_ACCOUNT}:guardrail-profile/eu.guardrail.v1:0"
_PII = {
    "piiEntitiesConfigs": [
        {"type": "EMAIL", "action": "ANONYMIZE"},
        {"type": "CREDIT_DEBIT_CARD_NUMBER", "action": "BLOCK", "inputAction": "BLOCK", "inputEnabled": True},
    ],
    "regexesConfigs": [
        {"name": "iban", "pattern": "[A-Z]{2}[0-9]{18}", "action": "BLOCK", "description": "An account"}
    ],
}


def _guardrail(world: World) -> str:
    """The ARN of one that another hand made."""
    guardrail = world.boto("bedrock").create_guardrail(
        name=world.name("g"),
        blockedInputMessaging="no",
        blockedOutputsMessaging="no",
        wordPolicyConfig={"wordsConfig": [{"text": "word"}]},
    )
    return guardrail["guardrailArn"]


def _guardrail_behind(world: World, inputs: Inputs) -> str:
    world.boto("bedrock").update_guardrail(
        guardrailIdentifier=inputs["guardrailId"],
        name=inputs["name"],
        description="PII and attacks",
        blockedInputMessaging=inputs["blockedInputMessaging"],
        blockedOutputsMessaging=inputs["blockedOutputsMessaging"],
        kmsKeyId=_KEY,
        contentPolicyConfig={
            "filtersConfig": [{"type": "HATE", "inputStrength": "NONE", "outputStrength": "NONE"}]
        },
        contextualGroundingPolicyConfig={"filtersConfig": [{"type": "GROUNDING", "threshold": 0.5}]},
        sensitiveInformationPolicyConfig={
            "piiEntitiesConfig": _PII["piiEntitiesConfigs"],
            "regexesConfig": _PII["regexesConfigs"],
        },
        topicPolicyConfig={
            "topicsConfig": [{"name": "Advice", "definition": "Advice on shares", "type": "DENY"}]
        },
        wordPolicyConfig={
            "managedWordListsConfig": [{"type": "PROFANITY"}],
            "wordsConfig": [{"text": "secret"}],
        },
    )
    return "contentPolicyConfig"


def _version_left(world: World, inputs: Inputs) -> bool:
    names = {"guardrailIdentifier": inputs["guardrailArn"], "guardrailVersion": inputs.get("version") or "1"}
    return bool(found(lambda: world.boto("bedrock").get_guardrail(**names)))


def _version_behind(world: World, inputs: Inputs) -> str:
    world.boto("bedrock").delete_guardrail(
        guardrailIdentifier=inputs["guardrailArn"], guardrailVersion=inputs["version"]
    )
    return ""


def _tagged_behind(property: str) -> Any:
    def behind(world: World, inputs: Inputs) -> str:
        tags = [{"key": "class", "value": "another hand's"}]
        world.boto("bedrock").tag_resource(resourceARN=inputs[property], tags=tags)
        return "tags"

    return behind


def _profile_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("bedrock").list_inference_profiles(typeEquals="APPLICATION")
    arns = [
        inference_profile["inferenceProfileArn"] for inference_profile in listed["inferenceProfileSummaries"]
    ]
    return inputs.get("arn") in arns


def _provisioned_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("bedrock").list_provisioned_model_throughputs()["provisionedModelSummaries"]
    return any(
        provisioned_model["provisionedModelName"] == inputs["provisionedModelName"]
        for provisioned_model in listed
    )


def _logging(world: World) -> Inputs:
    # One a region: what another test left would be in the way.
    world.boto("bedrock").delete_model_invocation_logging_configuration()
    group = {"logGroupName": "/isthmus/bedrock", "roleArn": world.role_arn()}
    return {
        "loggingConfig": {
            "cloudwatchConfig": {**group, "largeDataDeliveryS3Config": {"bucketName": "large"}},
            "textDataDeliveryEnabled": False,
            "imageDataDeliveryEnabled": False,
            "embeddingDataDeliveryEnabled": False,
            "videoDataDeliveryEnabled": False,
        }
    }


def _logging_behind(world: World, inputs: Inputs) -> str:
    world.boto("bedrock").put_model_invocation_logging_configuration(
        loggingConfig={"s3Config": {"bucketName": "another"}, "textDataDeliveryEnabled": True}
    )
    return "loggingConfig"


def _logging_left(world: World, inputs: Inputs) -> bool:
    answer = world.boto("bedrock").get_model_invocation_logging_configuration()
    return bool(answer.get("loggingConfig"))


CASES: dict[str, Case] = {
    "aws:bedrock/guardrail:Guardrail": Case(
        make=lambda world: {
            "name": world.name("internal"),
            "description": "PII and attacks",
            "blockedInputMessaging": "Blocked by policy.",
            "blockedOutputsMessaging": "Blocked by policy.",
            "kmsKeyArn": _KEY,
            "contentPolicyConfig": _CONTENT,
            "contextualGroundingPolicyConfig": {"filtersConfigs": [{"type": "GROUNDING", "threshold": 0.5}]},
            "sensitiveInformationPolicyConfig": _PII,
            "topicPolicyConfig": {
                "topicsConfigs": [
                    {
                        "name": "Advice",
                        "definition": "Advice on shares",
                        "type": "DENY",
                    }
                ]
            },
            "wordPolicyConfig": {
                "managedWordListsConfigs": [{"type": "PROFANITY"}],
                "wordsConfigs": [{"text": "secret"}],
            },
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            "name": world.name("renamed"),
            "contentPolicyConfig": _STANDARD,
            "crossRegionConfig": {"guardrailProfileIdentifier": _PROFILE},
            "blockedInputMessaging": "No.",
            "blockedOutputsMessaging": "No.",
            "sensitiveInformationPolicyConfig": {"piiEntitiesConfigs": [{"type": "NAME", "action": "BLOCK"}]},
            "topicPolicyConfig": {
                "topicsConfigs": [
                    {
                        "name": "Advice",
                        "definition": "Advice on funds",
                        "type": "DENY",
                        "examples": ["Which fund?"],
                    }
                ]
            },
            "region": inputs["region"],
            "tags": {"class": "confidential", "new": "1"},
        },
        replace=changed(region="eu-west-1"),
        behind=_guardrail_behind,
        left=lambda world, inputs: any(
            entry["name"] == inputs["name"] for entry in world.boto("bedrock").list_guardrails()["guardrails"]
        ),
    ),
    "aws:bedrock/guardrailVersion:GuardrailVersion": Case(
        make=lambda world: {"guardrailArn": _guardrail(world), "description": "as released"},
        change=None,
        replace=changed(description="released again"),
        behind=_version_behind,
        left=_version_left,
    ),
    "aws:bedrock/inferenceProfile:InferenceProfile": Case(
        make=lambda world: {
            "name": world.name("chat-payments"),
            "description": "Chat of payments",
            "modelSource": {"copyFrom": _SYSTEM},
            "tags": {"isthmus.dev/workload": "payments"},
        },
        change=changed(tags={"isthmus.dev/workload": "lending"}),
        replace=lambda world, inputs: {
            **inputs,
            "name": world.name("other"),
            "modelSource": {"copyFrom": _MODEL},
        },
        behind=_tagged_behind("arn"),
        left=_profile_left,
    ),
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": Case(
        make=lambda world: {
            "provisionedModelName": world.name("chat"),
            "modelArn": _MODEL,
            "modelUnits": 1,
            "tags": {"class": "internal"},
        },
        change=changed(tags={}),
        replace=lambda world, inputs: {**inputs, "provisionedModelName": world.name("more"), "modelUnits": 2},
        behind=_tagged_behind("provisionedModelArn"),
        left=_provisioned_left,
    ),
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": Case(
        make=_logging,
        change=lambda world, inputs: {
            **inputs,
            "loggingConfig": {
                "s3Config": {"bucketName": "audit", "keyPrefix": "calls"},
                "textDataDeliveryEnabled": False,
            },
        },
        replace=changed(region="eu-west-1"),
        behind=_logging_behind,
        left=_logging_left,
    ),
}
