"""Previews for the page: a bank's with all kinds of content, an empty one, a huge one, a hostile one."""

from __future__ import annotations

from datetime import date
from typing import Any

from isthmus.contracts.reports.preview import OPS, Preview

URN = "urn:pulumi:bank-dev::bank::isthmus:index:{component}${type}::{name}"


def change(op: str, type_: str, name: str, component: str = "", **more: Any) -> dict[str, Any]:
    urn = URN.format(component=component or "LlmPlatform", type=type_, name=name)
    return {"urn": urn, "op": op, "type": type_, "name": name, "component": component, **more}


def hop(kind: str, name: str, where: str = "") -> dict[str, str]:
    return {"kind": kind, "name": name, "where": where}


def path(
    class_: str, workload: str, *hops: dict[str, str], verdict: str = "allowed", reason: str = ""
) -> dict[str, Any]:
    ident = f"{class_}: {' > '.join([workload, *(hop['name'] for hop in hops)])}"
    steps = [hop("workload", workload), *hops]
    return {
        "id": ident,
        "workload": workload,
        "class": class_,
        "hops": steps,
        "verdict": verdict,
        "why": reason,
    }


def finding(policy: str, severity: str, resource: str, **more: Any) -> dict[str, Any]:
    return {
        "policy": policy,
        "title": policy.split("/")[1].replace("-", " ").capitalize(),
        "severity": severity,
        "supports": [
            {"framework": "NIST SP 800-53", "version": "Rev. 5", "id": "SC-7"},
            {"framework": "OWASP LLM Top 10", "version": "2025", "id": "LLM02"},
        ],
        "stack": "bank-dev",
        "urn": URN.format(component="LlmPlatform", type="aws:x/y:Z", name=resource),
        "resource": resource,
        "message": f"{resource} does not keep it.",
        "why": "What leaves the site cannot be called back.",
        "fix": "Route the class to an endpoint on the site.",
        **more,
    }


def onprem(class_: str, workload: str, model: str) -> dict[str, Any]:
    gateway = hop("gateway", f"gateway-{class_}", "frankfurt")
    return path(class_, workload, gateway, hop("endpoint", model, "frankfurt"))


def bedrock(class_: str, workload: str, model: str, *regions: str, **more: Any) -> dict[str, Any]:
    return path(
        class_,
        workload,
        hop("gateway", f"gateway-{class_}", "frankfurt"),
        hop("translator", f"translator-{class_}", "frankfurt"),
        hop("identity", f"bank-dev-invoke-{class_}", "eu-central-1"),
        hop("network", "vpce-bedrock-runtime", "eu-central-1"),
        hop("endpoint", model, "eu-central-1"),
        hop("region", ", ".join(regions)),
        **more,
    )


def bank_data() -> dict[str, Any]:
    """An endpoint moved to Bedrock (allowed), a restricted one too (refused), a key replaced, a bucket deleted."""
    before = [
        onprem("restricted", "payments-fraud", "gpt-oss-120b"),
        onprem("restricted", "kyc-review", "gpt-oss-120b"),
        onprem("confidential", "credit-memo", "qwen3-32b"),
        onprem("internal", "hr-assistant", "qwen3-32b"),
        bedrock("public", "web-help", "claude-sonnet-eu", "eu-central-1", "eu-west-1"),
    ]
    after = [
        before[0],
        bedrock(
            "restricted",
            "kyc-review",
            "claude-sonnet-eu",
            "eu-central-1",
            "eu-west-1",
            verdict="refused",
            reason="restricted data may not leave the site frankfurt, and this path ends in eu-central-1 and eu-west-1.",  # noqa: E501
        ),
        before[2],
        path(
            "confidential",
            "credit-memo",
            hop("gateway", "gateway-confidential", "frankfurt"),
            hop("endpoint", "sagemaker-credit", "eu-central-1"),
            verdict="undecided",
            reason="The endpoint's address is known only after the change.",
        ),
        bedrock("internal", "hr-assistant", "claude-sonnet-eu", "eu-central-1", "eu-west-1"),
        before[4],
    ]
    silence = {
        "policy": "reliability/two-replicas",
        "resource": "qwen3-*",
        "owner": "Ada Osei",
        "reason": "One replica until the second node comes.",
        "until": date(2027, 1, 31),
    }
    config = "listeners:\n  - port: 8443\nmodels:\n  - gpt-oss-120b\n  - qwen3-32b\nlimits:\n  rpm: 600\n"
    return {
        "stack": "bank-dev",
        "status": "complete",
        "commit": "4f2c1d9ab0e37755",
        "digest": "sha256:" + "ab" * 32,
        "summary": {"delete": 2, "replace": 2, "update": 4, "create": 4, "same": 298},
        "changes": [
            change("delete", "aws:s3/bucketV2:BucketV2", "audit-archive", "audit", stateful=True),
            change("delete", "kubernetes:apps/v1:Deployment", "gateway-internal-canary", "gateway-internal"),
            change(
                "replace",
                "aws:kms/key:Key",
                "audit-key",
                "audit",
                stateful=True,
                replaces_because=["multiRegion"],
                properties=[
                    {"path": "multiRegion", "old": False, "new": True},
                    {"path": "tags.revision", "old": "41", "new": "42", "noise": True},
                ],
            ),
            change(
                "replace",
                "aws:iam/role:Role",
                "bank-dev-invoke-internal",
                "gateway-internal",
                replaces_because=["name"],
                properties=[{"path": "name", "old": "invoke-internal", "new": "bank-dev-invoke-internal"}],
            ),
            change(
                "update",
                "kubernetes:core/v1:ConfigMap",
                "gateway-internal-config",
                "bank-frankfurt-gateway-internal",
                properties=[
                    {
                        "path": 'data["config.yaml"]',
                        "old": config,
                        "new": config.replace("qwen3-32b", "claude-sonnet-eu"),
                    },
                    {"path": 'metadata.annotations["checksum"]', "old": "aa11", "new": "bb22", "noise": True},
                ],
            ),
            change(
                "update",
                "kubernetes:apps/v1:Deployment",
                "qwen3-32b",
                "qwen3-32b",
                properties=[{"path": "spec.replicas", "old": 2, "new": 1}],
            ),
            change(
                "update",
                "kubernetes:core/v1:Secret",
                "gateway-token",
                "gateway-internal",
                properties=[{"path": "data.token", "old": "hunter2", "new": "hunter3", "secret": True}],
            ),
            change(
                "update",
                "kubernetes:core/v1:Namespace",
                "observability",
                "monitoring",
                properties=[{"path": "metadata.labels.revision", "old": "41", "new": "42", "noise": True}],
            ),
            *(
                change(
                    "create",
                    "aws:bedrock/guardrail:Guardrail",
                    f"guardrail-{sensitivity}",
                    "claude-sonnet-eu",
                )
                for sensitivity in ("restricted", "internal", "public", "all")
            ),
        ],
        "data_paths": {"before": before, "after": after},
        "policy": [
            finding("data-path/restricted-stays-on-prem", "critical", "gateway-restricted-config"),
            finding(
                "encryption/own-key-for-endpoint-storage", "medium", "sagemaker-credit", verdict="undecided"
            ),
            finding("reliability/two-replicas", "low", "qwen3-32b", silenced=silence),
        ],
        "rules": [
            {
                "kind": "sensitivity",
                "what": "workload kyc-review",
                "old": "restricted",
                "new": "internal",
                "loosens": True,
            },
            {
                "kind": "handling",
                "what": "public: log retention",
                "old": "30 days",
                "new": "90 days",
                "loosens": False,
            },
        ],
        "cost": {
            "before": {
                "monthly_usd": 41200.0,
                "prices_as_of": "2026-11-20",
                "items": [
                    {
                        "what": "electricity of 14 GPUs",
                        "monthly_usd": 3900.0,
                        "evidence": "estimated",
                        "as_of": "2026-11",
                    },
                    {
                        "what": "Bedrock tokens, public",
                        "monthly_usd": 1300.0,
                        "evidence": "list-price",
                        "source": "AWS price list",
                        "as_of": "2026-11-20",
                    },
                    {"what": "GPU reservation", "monthly_usd": 36000.0, "evidence": "given"},
                ],
            },
            "after": {
                "monthly_usd": 46750.0,
                "prices_as_of": "2026-11-20",
                "items": [
                    {
                        "what": "electricity of 14 GPUs",
                        "monthly_usd": 3350.0,
                        "evidence": "estimated",
                        "as_of": "2026-11",
                    },
                    {
                        "what": "Bedrock tokens, public",
                        "monthly_usd": 1300.0,
                        "evidence": "list-price",
                        "source": "AWS price list",
                        "as_of": "2026-11-20",
                    },
                    {
                        "what": "Bedrock tokens, internal",
                        "monthly_usd": 6100.0,
                        "evidence": "list-price",
                        "source": "AWS price list",
                        "as_of": "2026-11-20",
                    },
                    {"what": "GPU reservation", "monthly_usd": 36000.0, "evidence": "given"},
                ],
            },
        },
        "capacity": {
            "before": [
                {"site": "frankfurt", "pool": "NVIDIA-H100-80GB-HBM3", "gpus": 16, "reserved": 2, "used": 14},
                {"site": "frankfurt", "pool": "NVIDIA-L40S", "gpus": 8, "used": 2.5},
            ],
            "after": [
                {"site": "frankfurt", "pool": "NVIDIA-H100-80GB-HBM3", "gpus": 16, "reserved": 2, "used": 12},
                {"site": "frankfurt", "pool": "NVIDIA-L40S", "gpus": 8, "used": 2.5},
            ],
        },
        "diagnostics": [{"severity": "warning", "message": "the provider will drop an old field"}],
    }


def bank() -> Preview:
    return Preview.model_validate(bank_data())


def bare(status: str = "complete", **more: Any) -> Preview:
    """Nothing to do, all of it known."""
    paths = [onprem("internal", "hr-assistant", "qwen3-32b")]
    return Preview.model_validate(
        {
            "stack": "bank-dev",
            "status": status,
            "commit": "4f2c1d9ab0e37755",
            "summary": {"same": 310},
            "data_paths": {"before": paths, "after": paths},
            **more,
        }
    )


def huge(number_of: int = 2_000, properties: int = 3, long: int = 100) -> Preview:
    """So many changes, over forty components and all operations."""
    kinds = [op for op in OPS if op != "same"]
    return Preview.model_validate(
        {
            "stack": "estate",
            "status": "complete",
            "summary": {"create": number_of},
            "changes": [
                change(
                    kinds[at % len(kinds)],
                    "kubernetes:apps/v1:Deployment",
                    f"service-{at:05}",
                    f"component-{at % 40:02}",
                    properties=[
                        {"path": f"spec.field{n}", "old": "o" * long, "new": f"n{at}"}
                        for n in range(properties)
                    ],
                )
                for at in range(number_of)
            ],
        }
    )


HOSTILE = [
    "</script><script>alert(1)</script>",
    "</style><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    '" onload="alert(4)" x=\'',
    "' onfocus='alert(5)' autofocus='",
    "javascript:alert(6)",
    "</svg><svg onload=alert(7)>",
    "</title><script>alert(8)</script>",
    "{{ 7 * 7 }}{% for x in () %}",
    "<!--<script>",
    "-->]]>",
    "<a href=https://evil.example/>click</a>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "safe\u202egpj.exe\u2066\u200b\ufeff",
    "\x00\x1b[31mred\x85",
    "<base href=https://evil.example/><form action=https://evil.example/><button>",
    "background:url(https://evil.example/x.png)",
    "&#x3c;script&#x3e;alert(9)&#x3c;/script&#x3e;",
    "<iframe srcdoc='<script>alert(10)</script>'>",
    "ab" * 4_000,
]


def hostile() -> Preview:
    """Every text of a preview that may be any text holds such a one, in each of its places."""
    data = bank_data()
    turn = iter(range(10**9))

    def spoilt(value: Any, key: str = "") -> Any:
        fixed = {
            "stack",
            "status",
            "op",
            "kind",
            "verdict",
            "class",
            "severity",
            "evidence",
            "until",
            "baseline",
        }
        if isinstance(value, dict):
            return {
                name: element if name == "summary" else spoilt(element, name)
                for name, element in value.items()
            }
        if isinstance(value, list):
            return [spoilt(element, key) for element in value]
        if isinstance(value, str) and key not in fixed:
            return value + HOSTILE[next(turn) % len(HOSTILE)]
        return value

    data["changes"] = data["changes"] * 3
    data["policy"] = data["policy"] * 4
    data["diagnostics"] = [{"severity": "error", "message": text, "urn": text} for text in HOSTILE]
    data["base"], data["baseline"] = "main", "commit"
    spoilt_data = spoilt(data)
    for at, data_path in enumerate(spoilt_data["data_paths"]["after"]):
        for step, hop in enumerate(data_path["hops"]):
            hop["name"] = HOSTILE[(at + step) % len(HOSTILE)]
    return Preview.model_validate(spoilt_data)


def failed() -> Preview:
    """The engine stopped half-way."""
    return Preview.model_validate(
        {
            **bank_data(),
            "status": "failed",
            "data_paths": {"before": None, "after": None},
            "diagnostics": [{"severity": "error", "message": "the provider did not answer", "urn": "urn:x"}],
        }
    )


def partial() -> Preview:
    return Preview.model_validate({**bank_data(), "status": "partial"})


def unchanged() -> Preview:
    return bare()
