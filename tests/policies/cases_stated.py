"""Cases of rules that compare resources with the platform: budgets, throughput, model releases."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.aws.account import Anomalies, Budget, Provisioned
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Identity
from tests.policies.cases import Case
from tests.policies.cases_cluster import DIGEST, FIRST, deployment
from tests.policies.cases_inside import namespace_of_class
from tests.policies.cases_models import EDGE, SERVES, config, config_with
from tests.policies.making import platform_with, resource_of


def _endpoint(**fields: Any) -> Endpoint:
    values = {**{"class": "internal", "site": "fra1", "target": "onprem-vllm"}, **fields}
    return Endpoint.model_validate(values)


LLAMA = _endpoint(
    id="llama",
    model="bank/llama",
    precision="fp8",
    adapters=[{"name": "tone", "rank": 16, "size_mib": 100}],
    weights={"uri": "pvc://w", "digest": DIGEST, "volume": "nfs-llama"},
)
QWEN = _endpoint(
    id="qwen",
    model="bank/qwen",
    target="sagemaker",
    site="frankfurt",
    weights={"uri": "s3://weights/qwen/", "digest": DIGEST},
)
AWQ = _endpoint(
    id="awq",
    model="bank/awq",
    weights={"uri": "pvc://awq", "digest": DIGEST, "volume": "nfs-awq", "precision": "awq"},
)
"""Its weights are stored in a precision that vLLM may also be told."""
NOVA = _endpoint(id="nova", model="amazon.nova-lite-v1:0", target="bedrock", site="frankfurt")
RELEASER, STRANGER = (f"ssh-ed25519 {letter * 68} {name}" for letter, name in (("a", "ann"), ("e", "eve")))
RESULT = {"file": "kyc/results/qwen.json", "sha256": DIGEST}
FREEZE = {"begin": "2026-12-18T18:00:00Z", "end": "2027-01-04T06:00:00Z"}
GATEWAY = Gateway.model_validate(
    {
        **{"class": "internal", "name": "internal", "site": "fra1", "host": "llm.bank.example"},
        "callers_secret": "callers",
        "workloads": [
            {
                "name": "kyc",
                "endpoint": "llama",
                "canary": {"endpoint": "qwen", "percent": 5, "evaluation": RESULT},
            },
            {"name": "chat", "endpoint": "nova"},
            {"name": "tone", "endpoint": "llama", "adapter": "tone"},
            {"name": "search", "endpoint": "qwen"},
            {
                **{"name": "mail", "endpoint": "llama", "impact": "high"},
                "canary": {"endpoint": "qwen", "release": "mail-v2", "steps": [1, 100]},
            },
        ],
        "releasers": [RELEASER],
        "release_freezes": [FREEZE],
    }
)
WORD = platform_with(
    endpoints=[LLAMA, QWEN, AWQ, NOVA],
    gateways=[GATEWAY],
    identities=[
        Identity.model_validate(
            {"name": "internal", "class": "internal", "site": "frankfurt", "endpoints": ["nova"]}
        )
    ],
    budgets=[
        Budget(name="class", site="frankfurt", scope="class", of="internal", monthly_usd=500, action="deny")
    ],
    anomalies=Anomalies(mode="manage"),
    provisioned=[Provisioned(name="nova", endpoint="nova", model_units=1)],
)
GOVERNS = resource_of("aws:iam/role:Role", "bearer", {"tags": {"isthmus.dev/identity": "internal"}})
BUDGET = resource_of(
    "aws:budgets/budget:Budget",
    "budget",
    {
        **{"name": "bank-class", "limitAmount": "500"},
        "costFilters": [{"name": "TagKeyValue", "values": ["user:isthmus.dev/class$internal"]}],
    },
)
ACTION = resource_of(
    "aws:budgets/budgetAction:BudgetAction",
    "action",
    {
        **{"budgetName": "${budget.name}", "approvalModel": "AUTOMATIC"},
        "actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100},
    },
)
MONITOR = resource_of("aws:costexplorer/anomalyMonitor:AnomalyMonitor", "monitor", {})
HEARS = resource_of(
    "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "hears",
    {"monitorArnLists": ["${monitor.arn}"]},
)
TAG = resource_of(
    "aws:costexplorer/costAllocationTag:CostAllocationTag",
    "tag",
    {"tagKey": "isthmus.dev/class", "status": "Active"},
)
PROFILE = resource_of(
    "aws:bedrock/inferenceProfile:InferenceProfile", "profile", {"tags": {"isthmus.dev/workload": "chat"}}
)
HOSTED = resource_of(
    "aws:sagemaker/endpoint:Endpoint",
    "hosted",
    {"tags": {"isthmus.dev/endpoint": "qwen", "isthmus.dev/workload": "search"}},
)
BOUGHT = resource_of(
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
    "bought",
    {"modelArn": "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0", "modelUnits": 1},
)
CLAIM = resource_of(
    "kubernetes:core/v1:PersistentVolumeClaim",
    "w",
    {
        "metadata": {
            "name": "w",
            "namespace": "space",
            "annotations": {"isthmus.dev/weights-digest": DIGEST},
        },
        "spec": {"accessModes": ["ReadOnlyMany"], "volumeName": "nfs-llama"},
    },
)
ENGINE = {
    **SERVES,
    "args": ["/models", "--quantization=fp8", "--enable-lora", "--lora-modules", "tone=/models/tone"],
}
MODEL = deployment(
    ENGINE,
    "llama",
    {"app": "llama", "isthmus.dev/role": "model", "isthmus.dev/endpoint": "llama"},
    pod={"volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "w", "readOnly": True}}]},
)
S3 = resource_of(
    "aws:sagemaker/model:Model",
    "qwen",
    {
        "primaryContainer": {"modelDataSource": {"s3DataSources": [{"s3Uri": "s3://weights/qwen/"}]}},
        "tags": {"isthmus.dev/endpoint": "qwen"},
    },
)


def route(workload: str, model: str, **more: Any) -> dict[str, Any]:
    return {"workload": workload, "url": "https://m.svc:8443", "server_name": "m.svc", "model": model, **more}


def canary(percent: float, model: str = "qwen--kyc", **more: Any) -> dict[str, Any]:
    return {"model": model, "percent": percent, "url": "https://t.svc:8443", "server_name": "t.svc", **more}


def moved(steps: Any, workload: str = "mail", *, two_people: bool = True) -> dict[str, Any]:
    """The route of a workload whose canary people move."""
    more = {"release": "mail-v2", "steps": steps, "two_people": two_people}
    return route(workload, "bank/llama", canary=canary(0, f"qwen--{workload}", **more))


JUDGED = {"workload": "chat", "rubric": "Everything is right.", "percent": 100, "per_day": 1000}
ROUTED = config(
    {
        **EDGE,
        "site": "fra1",
        "routes": [
            route("kyc", "bank/llama", canary=canary(5)),
            route("chat", "nova--chat"),
            route("tone", "tone"),
            moved([1, 100]),
        ],
        "releasers": [RELEASER],
        "release_freezes": [FREEZE],
    }
)
PLAIN = deployment({**SERVES, "args": ["/models"]}, "qwen", {"isthmus.dev/endpoint": "qwen"})
NAMES_ITS_PRECISION = deployment(
    {**SERVES, "args": ["/models", "--quantization=awq"]},
    "awq",
    {"isthmus.dev/role": "model", "isthmus.dev/endpoint": "awq"},
)

CASES = [
    Case(
        "cost/budgets-stated",
        [BUDGET, GOVERNS],
        fails=[
            {"limitAmount": "50000"},
            {"costFilters": [{"name": "TagKeyValue", "values": ["user:isthmus.dev/class$public"]}]},
        ],
        missing=["costFilters"],
        unknown=["limitAmount"],
        broken=[[GOVERNS]],
        also=[[]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "cost/budgets-act",
        [ACTION, BUDGET, GOVERNS],
        fails=[
            {"approvalModel": "MANUAL"},
            {"actionThreshold.actionThresholdValue": 150},
            {"budgetName": "other"},
        ],
        missing=["approvalModel"],
        unknown=["approvalModel"],
        broken=[[BUDGET, GOVERNS]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "cost/leaps-seen",
        [HEARS, MONITOR, GOVERNS],
        fails=[{"monitorArnLists": ["arn:aws:ce::1:anomalymonitor/other"]}],
        missing=["monitorArnLists"],
        broken=[[GOVERNS], [MONITOR, GOVERNS]],
        platform=WORD,
    ),
    Case(
        "cost/tags-count",
        [TAG, GOVERNS],
        fails=[{"status": "Inactive"}, {"tagKey": "team"}],
        missing=["status"],
        unknown=["status"],
        broken=[[GOVERNS]],
        platform=WORD,
    ),
    Case(
        "cost/attributed",
        [PROFILE, HOSTED],
        fails=[{"tags": {}}, {"tags.[isthmus.dev/workload]": "nobody"}],
        missing=["tags"],
        unknown=["tags", "tags.[isthmus.dev/workload]"],
        broken=[
            [
                resource_of(
                    HOSTED.type,
                    "h",
                    {"tags": {"isthmus.dev/endpoint": "qwen", "isthmus.dev/workload": "chat"}},
                )
            ]
        ],
        also=[[resource_of(HOSTED.type, "h", {"tags": {"isthmus.dev/endpoint": "of-another-team"}})]],
        platform=WORD,
    ),
    Case(
        "cost/throughput-stated",
        [BOUGHT],
        fails=[{"modelUnits": 4}, {"commitmentDuration": "SixMonths"}],
        missing=["modelArn"],
        unknown=["modelUnits"],
        broken=[[BOUGHT, resource_of(BOUGHT.type, "more", BOUGHT.inputs)]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "release/weights-sealed",
        [CLAIM],
        fails=[
            {"spec.accessModes": ["ReadWriteMany"]},
            {"spec.accessModes": ["ReadOnlyMany", "ReadWriteOnce"]},
        ],
        missing=["spec.accessModes"],
        unknown=["spec.accessModes"],
        also=[
            [
                resource_of(
                    CLAIM.type,
                    "cache",
                    {"metadata": {"name": "cache"}, "spec": {"accessModes": ["ReadWriteMany"]}},
                )
            ]
        ],
    ),
    Case(
        "release/weights-from-their-place",
        [CLAIM, MODEL, namespace_of_class("internal"), S3],
        fails=[{"spec.volumeName": "experiments"}],
        missing=["spec.volumeName"],
        unknown=["spec.volumeName"],
        broken=[
            [
                deployment(
                    ENGINE,
                    "llama",
                    MODEL.inputs["spec"]["template"]["metadata"]["labels"],
                    pod={
                        "volumes": [
                            {
                                "name": "weights",
                                "persistentVolumeClaim": {"claimName": "scratch", "readOnly": True},
                            }
                        ]
                    },
                )
            ],
            [
                resource_of(
                    S3.type,
                    "q",
                    {**S3.inputs, "primaryContainer": {"modelDataUrl": "s3://experiments/qwen.tar.gz"}},
                )
            ],
        ],
        platform=WORD,
    ),
    Case(
        "release/adapters-stated",
        [MODEL],
        fails=[
            {f"{FIRST}.args": [*ENGINE["args"], "evil=/models/evil"]},
            {
                f"{FIRST}.args": [
                    "/models",
                    "--quantization=fp8",
                    '--lora-modules={"name": "evil", "path": "/x"}',
                ]
            },
        ],
        unknown=[f"{FIRST}.args.4"],
        platform=WORD,
    ),
    Case(
        "release/precision-stated",
        [MODEL],
        fails=[
            {f"{FIRST}.args": ["/models", "--quantization=awq"]},
            {f"{FIRST}.args": ["/models", "--quantization", "awq"]},
            {f"{FIRST}.args": ["/models"]},
        ],
        missing=[f"{FIRST}.args"],
        unknown=[f"{FIRST}.args.1"],
        also=[[PLAIN], [NAMES_ITS_PRECISION]],
        platform=WORD,
    ),
    Case(
        "release/routes-stated",
        [ROUTED],
        fails=[
            config_with(EDGE, routes=[route("kyc", "bank/llama-rc1")]),
            config_with(EDGE, routes=[route("kyc", "bank/llama", canary=canary(50))]),
            config_with(EDGE, routes=[route("kyc", "bank/llama", canary=canary(5, "bank/next"))]),
            config_with(EDGE, routes=[route("chat", "nova--chat", canary=canary(5))]),
            config_with(EDGE, routes=[moved([50, 100])]),
            config_with(EDGE, routes=[moved([1, 100], two_people=False)]),
            config_with(EDGE, routes=[moved(None)]),
            config_with(EDGE, routes=[moved([5], "kyc")]),
            config_with({**EDGE, "site": "fra1"}, routes=[moved([1, 100])], releasers=[RELEASER, STRANGER]),
            config_with(EDGE, routes=[route("kyc", "bank/llama", canary=canary(5) | {"shadow_percent": 50})]),
            config_with(EDGE, routes=[route("kyc", "bank/llama", canary=canary(5) | {"judge": JUDGED})]),
            config_with({**EDGE, "site": "fra1"}, routes=[moved([1, 100])], release_freezes=[]),
        ],
        platform=WORD,
        also=[[config({**EDGE, "routes": [route("nobody", "x")]})]],
    ),
]
