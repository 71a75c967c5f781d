"""Cases of rules for models: release, gateway configuration, guardrails, budgets."""

from __future__ import annotations

import json
from typing import Any

from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, DIGEST, deployment
from tests.policies.making import resource_of

OTHER = "sha256:" + "b" * 64
SERVES = {
    **BOX,
    **{"command": ["vllm", "serve"], "args": ["/models", "--enable-prefix-caching"]},
    "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "TRANSFORMERS_OFFLINE", "value": "1"}],
    "volumeMounts": [{"name": "weights", "mountPath": "/models", "readOnly": True}],
}
MODEL = deployment(
    SERVES,
    "llama",
    {"app": "llama", "isthmus.dev/role": "model"},
    pod={"volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "w", "readOnly": True}}]},
)
MODEL.inputs["spec"]["template"]["metadata"]["annotations"] = {"isthmus.dev/weights-digest": DIGEST}
STATED = "spec.template.metadata.annotations"
FIRST = "spec.template.spec.containers.0"
CLAIM = resource_of(
    "kubernetes:core/v1:PersistentVolumeClaim",
    "w",
    {"metadata": {"name": "w", "namespace": "space", "annotations": {"isthmus.dev/weights-digest": DIGEST}}},
)
HOSTED = resource_of(
    "aws:sagemaker/model:Model",
    "hosted",
    {
        "primaryContainer": {
            "environment": {
                **{"ISTHMUS_WEIGHTS_DIGEST": DIGEST, "SM_VLLM_MODEL": "/opt/ml/model"},
                **{"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            },
            "modelDataSource": {"s3DataSources": [{"s3Uri": "s3://weights/x/"}]},
        }
    },
)
ENVIRONMENT = "primaryContainer.environment"
ROLLOUT = resource_of(
    "aws:sagemaker/endpoint:Endpoint",
    "endpoint",
    {
        "deploymentConfig": {
            "autoRollbackConfiguration": {"alarms": [{"alarmName": "errors"}]},
            "blueGreenUpdatePolicy": {"trafficRoutingConfiguration": {"type": "CANARY"}},
        }
    },
)
EDGE: dict[str, Any] = {
    **{"mode": "gateway", "class": "internal", "callers": "/etc/callers.yaml"},
    "listen": {"certificate": "/t/tls.crt", "key": "/t/tls.key", "client_ca": "/t/ca.crt"},
    "limits": {"max_body_bytes": 4194304, "request_timeout_s": 300},
    "routes": [{"workload": "kyc", "url": "https://m.svc:8443", "server_name": "m.svc"}],
}
BEHIND: dict[str, Any] = {
    **{key: value for key, value in EDGE.items() if key not in ("routes", "callers")},
    **{"mode": "translator", "allowed_clients": ["gw.svc"]},
    "models": [{"name": "haiku", "guardrail": {"id": "g", "version": "3"}}],
}

LOOKS: dict[str, Any] = {
    **{"mode": "detector", "class": "internal", "listen": {"host": "127.0.0.1", "port": 8460}},
}


def config(content: Any, name: str = "cfg", **more: Any) -> Any:
    text = content if isinstance(content, str) else json.dumps({**content, **more})
    meta = {"name": name, "namespace": "space", "labels": {"isthmus.dev/role": "gateway"}}
    return resource_of(
        "kubernetes:core/v1:ConfigMap", name, {"metadata": meta, "data": {"config.yaml": text}}
    )


def config_with(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"data": {"config.yaml": json.dumps({**settings, **more})}}


LISTEN = EDGE["listen"]
OPEN = {key: value for key, value in LISTEN.items() if key != "client_ca"}
GUARD = resource_of(
    "aws:bedrock/guardrail:Guardrail",
    "guard",
    {
        "contentPolicyConfig": {"filtersConfigs": [{"type": "PROMPT_ATTACK", "inputStrength": "HIGH"}]},
        "sensitiveInformationPolicyConfig": {
            "piiEntitiesConfigs": [
                {"type": kind, "action": "BLOCK"} for kind in ("NAME", "AWS_SECRET_KEY", "PASSWORD")
            ]
        },
        "contextualGroundingPolicyConfig": {"filtersConfigs": [{"type": "GROUNDING", "threshold": 0.8}]},
    },
)
BASE = resource_of("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase", "base", {})
VERSION = resource_of(
    "aws:bedrock/guardrailVersion:GuardrailVersion",
    "v",
    {"guardrailArn": "arn:aws:bedrock:::${guard.guardrailArn}"},
)
PROXY = {
    "model_list": [{"model_name": "m", "litellm_params": {"model": "bedrock/x", "tags": ["internal"]}}],
    "guardrails": [
        {
            "guardrail_name": "pii",
            "litellm_params": {
                **{"guardrail": "presidio", "default_on": True},
                "pii_entities_config": {"PERSON": "MASK"},
            },
        }
    ],
}


def guards(**more: Any) -> dict[str, Any]:
    guardrail = {
        "guardrail_name": "pii",
        "litellm_params": {**PROXY["guardrails"][0]["litellm_params"], **more},
    }  # type: ignore[dict-item]
    return config_with({**PROXY, "guardrails": [guardrail]})


BUDGET = resource_of(
    "aws:budgets/budget:Budget",
    "budget",
    {
        "notifications": [
            {"threshold": 80, "thresholdType": "PERCENTAGE", "subscriberEmailAddresses": ["a@b.example"]}
        ]
    },
)
PROFILE = resource_of("aws:bedrock/inferenceProfile:InferenceProfile", "profile", {})


def pipeline(*kinds: str) -> Any:
    stages = [{"actions": [{"category": category}]} for category in kinds]
    return resource_of("aws:codepipeline/pipeline:Pipeline", "pipe", {"stages": stages})


CASES = [
    Case(
        "release/weights-by-digest",
        [MODEL, HOSTED],
        fails=[{f"{STATED}.[isthmus.dev/weights-digest]": "main"}],
        missing=[STATED],
        unknown=[f"{STATED}.[isthmus.dev/weights-digest]"],
        broken=[[resource_of(HOSTED.type, "h", {"primaryContainer": {"modelDataUrl": "s3://w/x.tar.gz"}})]],
    ),
    Case(
        "release/weights-agree",
        [MODEL, CLAIM],
        fails=[
            {f"{STATED}.[isthmus.dev/weights-digest]": OTHER},
            {
                f"{FIRST}.volumeMounts": [{"name": "weights", "mountPath": "/models"}],
                "spec.template.spec.volumes": [
                    {"name": "weights", "persistentVolumeClaim": {"claimName": "w"}}
                ],
            },
        ],
    ),
    Case(
        "release/no-hub",
        [MODEL, HOSTED],
        fails=[{f"{FIRST}.env": []}, {f"{FIRST}.env.0.value": "0"}],
        missing=[f"{FIRST}.env"],
        broken=[
            [resource_of(HOSTED.type, "h", {"primaryContainer": {"environment": {"SM_VLLM_MODEL": "x"}}})]
        ],
    ),
    Case(
        "release/no-foreign-code",
        [MODEL, HOSTED],
        fails=[
            {f"{FIRST}.args": ["/models", "--trust-remote-code"]},
            {f"{FIRST}.args": ["--load-format=pt"]},
        ],
        broken=[
            [
                resource_of(
                    HOSTED.type,
                    "h",
                    {"primaryContainer": {"environment": {"SM_VLLM_TRUST_REMOTE_CODE": "true"}}},
                )
            ]
        ],
    ),
    Case(
        "release/no-inside",
        [MODEL],
        fails=[
            {f"{FIRST}.args": ["--allowed-local-media-path=/"]},
            {f"{FIRST}.env": [{"name": "VLLM_SERVER_DEV_MODE", "value": "1"}]},
        ],
    ),
    Case(
        "release/taken-back",
        [ROLLOUT],
        fails=[
            {"deploymentConfig.autoRollbackConfiguration": {}},
            {"deploymentConfig.blueGreenUpdatePolicy.trafficRoutingConfiguration.type": "ALL_AT_ONCE"},
        ],
        missing=["deploymentConfig"],
        unknown=["deploymentConfig"],
    ),
    Case(
        "release/people-approve",
        [pipeline("Source", "Approval", "Deploy")],
        fails=[{"stages.1.actions.0.category": "Test"}],
        unknown=["stages"],
        broken=[
            [
                resource_of(
                    "aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup",
                    "act",
                    {"functionSchema": {"memberFunctions": {"functions": [{"name": "pay"}]}}},
                )
            ],
        ],
    ),
    Case(
        "release/guardrail-version",
        [config(BEHIND)],
        fails=[config_with(BEHIND, models=[{"name": "haiku", "guardrail": {"id": "g", "version": "DRAFT"}}])],
    ),
    Case(
        "audit/no-prompts-in-logs",
        [MODEL],
        fails=[{f"{FIRST}.args": ["--enable-log-requests"]}],
    ),
    Case(
        "encryption/mutual-tls",
        [config(EDGE), config(BEHIND, "behind"), config(LOOKS, "looks")],
        fails=[
            config_with(EDGE, listen=OPEN),
            config_with(EDGE, listen={"client_ca": "x"}),
            config_with(
                EDGE, routes=[{"workload": "kyc", "url": "http://m.svc:8080", "server_name": "m.svc"}]
            ),
            config_with(
                EDGE,
                routes=[{**EDGE["routes"][0], "overflow": {"url": "http://t.svc", "server_name": "t.svc"}}],
            ),
            config_with(
                EDGE,
                routes=[{**EDGE["routes"][0], "also": [{"url": "http://n.svc", "server_name": "n.svc"}]}],
            ),
            config_with(
                EDGE,
                routes=[{**EDGE["routes"][0], "fallback": [{"url": "http://n.svc", "server_name": "n.svc"}]}],
            ),
        ],
        unknown=["data", "data.[config.yaml]"],
        broken=[[config({**LOOKS, "listen": {"host": "0.0.0.0", "port": 8460}}, "looks")]],  # noqa: S104
        also=[[config({**EDGE, "class": "public", "listen": OPEN})]],
    ),
    Case(
        "encryption/peers-named",
        [config(BEHIND), config(EDGE, "edge")],
        fails=[config_with(BEHIND, allowed_clients=[])],
        broken=[
            [config({**EDGE, "routes": [{"workload": "kyc", "url": "https://m.svc"}]})],
            [config({**EDGE, "routes": [{**EDGE["routes"][0], "also": [{"url": "https://n.svc"}]}]})],
        ],
    ),
    Case(
        "cost/gateways-limited",
        [config(EDGE), config(BEHIND, "behind")],
        fails=[config_with(EDGE, limits={"max_body_bytes": 1}), config_with(EDGE, callers=None)],
    ),
    Case(
        "guardrail/personal-data",
        [GUARD],
        fails=[
            {"sensitiveInformationPolicyConfig.piiEntitiesConfigs": []},
            {"sensitiveInformationPolicyConfig.piiEntitiesConfigs.1.action": "NONE"},
            {"sensitiveInformationPolicyConfig.piiEntitiesConfigs.0.outputEnabled": False},
        ],
        missing=["sensitiveInformationPolicyConfig"],
        unknown=["sensitiveInformationPolicyConfig"],
    ),
    Case(
        "guardrail/prompt-attacks",
        [GUARD],
        fails=[
            {"contentPolicyConfig.filtersConfigs": []},
            {"contentPolicyConfig.filtersConfigs.0.inputStrength": "LOW"},
        ],
        missing=["contentPolicyConfig"],
        unknown=["contentPolicyConfig", "contentPolicyConfig.filtersConfigs.0.inputStrength"],
    ),
    Case(
        "guardrail/grounding",
        [GUARD, BASE],
        fails=[{"contextualGroundingPolicyConfig.filtersConfigs.0.threshold": 0.1}],
        missing=["contextualGroundingPolicyConfig"],
        unknown=["contextualGroundingPolicyConfig"],
    ),
    Case(
        "guardrail/published",
        [VERSION, GUARD],
        fails=[{"guardrailArn": "arn:aws:bedrock:eu-central-1:1:guardrail/other"}],
        broken=[[GUARD]],
    ),
    Case(
        "guardrail/asked",
        [config(BEHIND), GUARD],
        fails=[config_with(BEHIND, models=[{"name": "haiku"}])],
        also=[[config({**BEHIND, "models": [{"name": "own", "provider": "sagemaker"}]}), GUARD]],
    ),
    Case(
        "guardrail/proxy-always-on",
        [config(PROXY)],
        fails=[
            guards(default_on=False),
            guards(pii_entities_config={}),
            guards(allow_fail_open=True),
            config_with(
                PROXY,
                model_list=[
                    {"model_name": "m", "litellm_params": {"model": "bedrock/x", "tags": ["default"]}}
                ],
            ),
        ],
    ),
    Case(
        "cost/budgeted",
        [BUDGET, PROFILE],
        broken=[[PROFILE]],
    ),
    Case(
        "cost/budgets-heard",
        [BUDGET],
        fails=[{"notifications.0.subscriberEmailAddresses": []}, {"notifications.0.threshold": 150}],
        missing=["notifications"],
        unknown=["notifications"],
    ),
]
