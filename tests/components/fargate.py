"""A platform without a cluster, and a gateway on Fargate alone: what their tests begin with."""

from __future__ import annotations

from typing import Any

from tests.components.platforms import DIGEST, EU

REGION, ACCOUNT = "eu-central-1", "111122223333"
ECR = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/llm/"
HOST = "internal-gateway.frankfurt.isthmus.internal"


def secret(name: str) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:llm/{name}-a1B2c3"


def cloud() -> dict[str, Any]:
    """The platform of one internal workload on Bedrock; a new copy each time."""
    site = "frankfurt"
    return {
        "isthmus": "v1",
        "name": "insurer",
        "blueprint": "cloud-managed",
        "tags": {"isthmus-platform": "insurer"},
        "sites": [
            {
                "name": site,
                "kind": "aws",
                "jurisdiction": "de",
                "region": REGION,
                "account_id": ACCOUNT,
                "cidrs": ["10.90.0.0/16"],
            }
        ],
        "endpoints": [
            {
                "id": "internal-haiku",
                "class": "internal",
                "site": site,
                "target": "bedrock",
                "model": "anthropic.claude-haiku-4-5-20251001-v1:0",
                "region": REGION,
                "inference_profile": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                "destination_regions": [*EU, "eu-south-1", "eu-south-2"],
            }
        ],
        "gateways": [
            {
                "class": "internal",
                "name": "internal-frankfurt",
                "site": site,
                "host": HOST,
                "runs_on": "fargate",
                "workloads": [{"name": "claims", "endpoint": "internal-haiku", "residency": ["eu"]}],
                "identity": "internal-frankfurt",
                "callers_secret": secret("internal-callers"),
                "certificate_secret": secret("internal-gateway-tls"),
                "audit": {"secret": secret("internal-audit"), "sealer_secret": secret("internal-sealer")},
                "fargate": {
                    "clients": ["10.90.0.0/16", "10.20.0.0/16"],
                    "translator_secret": secret("internal-translator-tls"),
                },
            }
        ],
        "identities": [
            {
                "name": "internal-frankfurt",
                "class": "internal",
                "site": site,
                "assumed_by": "ecs-tasks",
                "endpoints": ["internal-haiku"],
                "guardrail": "internal-frankfurt",
            }
        ],
        "networks": [
            {
                "name": site,
                "site": site,
                "classes": ["internal"],
                "cidr": "10.90.0.0/16",
                "zones": [f"{REGION}a", f"{REGION}b"],
                "services": ["bedrock-runtime", "ecr.api", "ecr.dkr", "logs", "s3", "secretsmanager"],
            }
        ],
        "guardrails": [{"name": "internal-frankfurt", "site": site, "class": "internal"}],
        "trails": [{"name": site, "site": site, "retention_days": 366}],
        "audit": [{"name": site, "site": site, "mode": "manage", "retention_days": 366}],
        "contacts": {"security": ["soc@insurer.example"]},
        "images": {
            "edge": f"{ECR}edge@{DIGEST}",
            "translator": f"{ECR}translator@{DIGEST}",
            "registries": [ECR],
        },
        "monitoring": {},
    }


def used_by_people() -> dict[str, Any]:
    """The same platform, whose workload people use by tokens of a sign-on."""
    data = cloud()
    data["gateways"][0]["fargate"]["sign_on_secret"] = secret("sign-on")
    data["people"] = {
        "sign_on": {"issuer": "https://sso.insurer.example", "through": ["chat.insurer.example"]},
        "users": [{"name": "clerks", "groups": ["clerks"], "workloads": ["claims"]}],
    }
    return data


def gateway_args(**changes: Any) -> dict[str, Any]:
    """Arguments of the component alone."""
    model = {
        "name": "internal-haiku--claims",
        "region": REGION,
        "inference_profile": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "endpoint_url": "https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com",
    }
    return {
        "name": "internal-frankfurt",
        "sensitivity": "internal",
        "site": "frankfurt",
        "region": REGION,
        "host": HOST,
        "image": f"{ECR}edge@{DIGEST}",
        "translator_image": f"{ECR}translator@{DIGEST}",
        "routes": [{"workload": "claims", "endpoint": "internal-haiku--claims"}],
        "models": [model],
        "callers_secret": secret("internal-callers"),
        "certificate_secret": secret("internal-gateway-tls"),
        "fargate": {"clients": ["10.20.0.0/16"], "translator_secret": secret("internal-translator-tls")},
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-a", "subnet-b"],
        "endpoints_group": "sg-endpoints",
        "s3_prefix_list": "pl-s3",
        "task_role": "arn:aws:iam::111122223333:role/internal",
        "execution_roles": {
            "edge": "arn:aws:iam::111122223333:role/edge-start",
            "translator": "arn:aws:iam::111122223333:role/translator-start",
        },
        "log_group": "/isthmus/gateway/1",
        **changes,
    }


def execution_args(**changes: Any) -> dict[str, Any]:
    return {
        "name": "internal-frankfurt",
        "sensitivity": "internal",
        "region": REGION,
        "images": {"edge": f"{ECR}edge@{DIGEST}", "translator": f"{ECR}translator@{DIGEST}"},
        "secrets": {
            "edge": [secret("internal-gateway-tls"), secret("internal-callers")],
            "translator": [secret("internal-translator-tls")],
        },
        "log_days": 366,
        "source_vpc": "vpc-1",
        **changes,
    }
