"""Cases of rules for redaction of prompts and answers."""

from __future__ import annotations

import json
from typing import Any

from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Site
from tests.policies.cases import Case
from tests.policies.cases_models import config_with
from tests.policies.making import platform_with, resource_of

LISTEN = {"certificate": "/t/tls.crt", "key": "/t/tls.key", "client_ca": "/t/ca.crt"}
LIMITS = {"max_body_bytes": 4194304, "request_timeout_s": 300}
BEHIND = "internal-translator.isthmus-internal.svc"
CLOUD = {"url": f"https://{BEHIND}:8443", "server_name": BEHIND, "model": "haiku--chat", "target": "bedrock"}
OWN = {"url": "https://llama.isthmus-internal.svc:8443", "server_name": "llama.isthmus-internal.svc"}
OWN |= {"model": "llama", "target": "onprem-vllm", "site": "fra1"}
LOOKS = {"detector": "http://127.0.0.1:8460", "languages": ["de"]}
GATEWAY: dict[str, Any] = {
    **{"mode": "gateway", "class": "internal", "site": "fra1", "listen": LISTEN, "limits": LIMITS},
    **{"callers": "/c.yaml", "routes": [{"workload": "chat", **CLOUD, "site": "frankfurt"}]},
    "screening": LOOKS,
}
BARE = {key: value for key, value in GATEWAY.items() if key != "screening"}


def config(content: dict[str, Any] | str, name: str = "gw-config", **more: Any) -> Any:
    text = content if isinstance(content, str) else json.dumps({**content, **more})
    labels = {"isthmus.dev/role": "gateway", "isthmus.dev/class": "internal"}
    meta = {"name": name, "namespace": "isthmus-internal", "labels": labels}
    return resource_of(
        "kubernetes:core/v1:ConfigMap", name, {"metadata": meta, "data": {"config.yaml": text}}
    )


def task(content: dict[str, Any] | str, name: str = "edge") -> Any:
    text = content if isinstance(content, str) else json.dumps(content)
    box: dict[str, Any] = {"name": name, "environment": [{"name": "EDGE_CONFIG", "value": text}]}
    if name == "edge":
        box["secrets"] = [{"name": "EDGE_CALLERS", "valueFrom": "arn"}]
    return resource_of(
        "aws:ecs/taskDefinition:TaskDefinition", name, {"containerDefinitions": json.dumps([box])}
    )


def routes(*destinations: dict[str, Any]) -> dict[str, Any]:
    return {"routes": [{"workload": "chat", **destination} for destination in destinations]}


def _endpoint(id_: str, site: str, target: str, class_: str = "internal") -> Endpoint:
    return Endpoint.model_validate({"id": id_, "class": class_, "site": site, "target": target, "model": id_})


def gateway_platform(
    site: str = "fra1", class_: str = "internal", runs_on: str = "kubernetes", **more: Any
) -> Any:
    """A platform with one gateway and two models; the Bedrock model is at Frankfurt."""
    served = {"name": "chat", "endpoint": "haiku", "residency": ["de"]}
    gateway = {"class": class_, "name": f"{class_}-{site}", "site": site, "host": "h", "workloads": [served]}
    return platform_with(
        sites=[
            Site(name="fra1", kind="on-prem", jurisdiction="de"),
            Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1"),
        ],
        endpoints=[
            _endpoint("haiku", "frankfurt", "bedrock", class_),
            _endpoint("llama", "fra1", "onprem-vllm", class_),
        ],
        gateways=[
            Gateway.model_validate({**gateway, "runs_on": runs_on, "callers_secret": "callers", **more})
        ],
    )


PUBLIC = {**BARE, "class": "public", **routes({**CLOUD, "url": "https://public-translator.x.svc:8443"})}
OTHERS = {**BARE, "class": "confidential", **routes(OWN)}
RULE, ANSWERS = "data-path/redacts-what-leaves", "data-path/redacts-secrets-in-answers"
DOMAIN = "frankfurt.isthmus.internal"
FRONT = task(
    {**BARE, "site": "frankfurt", **routes({**CLOUD, "server_name": f"internal-translator.{DOMAIN}"})}
)
MODEL = {"name": CLOUD["model"], "region": "eu-central-1", "guardrail": {"id": "g", "version": "1"}}


def behind(model: dict[str, Any], gateway: str = f"internal-gateway.{DOMAIN}") -> Any:
    """A translator task that accepts one gateway."""
    return task(
        {"mode": "translator", "class": "internal", "allowed_clients": [gateway], "models": [model]},
        "translator",
    )


CASES = [
    Case(
        RULE,
        [config(GATEWAY)],
        fails=[
            config_with(BARE),
            config_with(GATEWAY, screening={}),
            config_with(GATEWAY, screening={"languages": ["de"]}),
            # It says of itself that it stays.
            config_with(GATEWAY, **routes({**CLOUD, "site": "fra1"})),
            config_with(GATEWAY, **routes({**CLOUD, "target": "onprem-vllm"})),
            # As an overflow, a canary, another of several.
            config_with(BARE, **routes({**OWN, "overflow": {**CLOUD, "site": "frankfurt"}})),
            config_with(BARE, **routes({**OWN, "canary": {**CLOUD, "percent": 5}})),
            config_with(BARE, **routes({**OWN, "also": [OWN, CLOUD]})),
            config_with(BARE, **routes(OWN, CLOUD)),
        ],
        unknown=["data", "data.[config.yaml]"],
        platform=gateway_platform(),
        broken=[
            [
                config(
                    {
                        **BARE,
                        "class": "a class that is none",
                        "routes": [{**CLOUD, "url": "https://x.example"}],
                    }
                )
            ],
        ],
        also=[
            [config(BARE, **routes(OWN))],
            [config(BARE, **routes({**OWN, "overflow": {**OWN, "site": "fra1"}}))],
            # Nothing of public work need be redacted on its way out.
            [config(PUBLIC)],
            [config({"mode": "translator", "class": "internal", "models": []})],
        ],
    ),
    # A gateway in AWS whose model is at its own site; one on Fargate whose model is not.
    Case(
        RULE,
        [config(BARE, site="frankfurt", **routes({**CLOUD, "site": "frankfurt"}))],
        fails=[config_with(BARE, site="elsewhere")],
        platform=gateway_platform("frankfurt"),
        broken=[[task({**BARE, "site": "elsewhere"})]],
        also=[[task({**BARE, "site": "frankfurt"})]],
    ),
    # An organisation that has public prompts redacted too.
    Case(
        RULE,
        [config({**PUBLIC, "screening": {**LOOKS, "redacted": ["prompts-leaving-site"]}})],
        fails=[config_with(PUBLIC), config_with(PUBLIC, screening=LOOKS)],
        platform=gateway_platform(class_="public", redacted=["prompts-leaving-site"]),
    ),
    # Another team's program, which states no platform.
    Case(
        RULE,
        [config(GATEWAY)],
        fails=[config_with(BARE)],
        also=[[config(BARE, **routes(OWN))], [task(BARE)]],
    ),
    # Whatever answers, on the site or not.
    Case(
        ANSWERS,
        [config(GATEWAY, **routes(OWN))],
        fails=[
            config_with(BARE, **routes(OWN)),
            config_with(BARE, screening={}, **routes(OWN)),
            config_with(PUBLIC),
            config_with(BARE, **{"class": "a class that is none"}),
        ],
        unknown=["data", "data.[config.yaml]"],
        platform=gateway_platform(),
        broken=[
            # On a task nothing looks but a guardrail, and SageMaker has none.
            [FRONT, behind({**MODEL, "guardrail": None})],
            [FRONT, behind({**MODEL, "provider": "sagemaker"})],
            [FRONT, behind(MODEL), behind({"name": MODEL["name"]})],
        ],
        also=[
            [config({**PUBLIC, "screening": LOOKS})],
            [config({**BARE, "class": "confidential"}, **routes(OWN))],
            [FRONT, behind(MODEL)],
            [FRONT, behind(MODEL), behind({"name": MODEL["name"]}, "x.other.internal")],
            [config({"mode": "translator", "class": "internal", "models": []})],
        ],
    ),
    # An organisation that has them redacted of confidential work too.
    Case(
        ANSWERS,
        [config({**OTHERS, "screening": {**LOOKS, "redacted": ["secrets-in-outputs"]}})],
        fails=[config_with(OTHERS), config_with(OTHERS, screening=LOOKS)],
        platform=gateway_platform(class_="confidential", redacted=["secrets-in-outputs"]),
    ),
]
UNDECIDED: list[tuple[str, dict[str, Any], Any]] = [
    ("the detector's address", {**GATEWAY, "screening": "${secrets.screening}"}, gateway_platform()),
    (
        "the place's site",
        {**BARE, **routes({**CLOUD, "site": "${site.name}", "model": "other"})},
        gateway_platform(),
    ),
    ("who stands behind the translator", {**GATEWAY, **routes({**CLOUD, "site": "fra1"})}, None),
    (
        "a model that the platform does not have",
        {**GATEWAY, **routes({**CLOUD, "site": "fra1", "model": "x"})},
        gateway_platform(),
    ),
]
"""What is not known, the gateway's configuration, and the platform's word."""
