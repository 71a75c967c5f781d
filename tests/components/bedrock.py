"""An access to models on Bedrock, as tests ask for it, and what its policy lets through."""

import json
from typing import Any

from components import BedrockAccess
from tests.components.conftest import ACCOUNT, Engine
from tests.components.policies import allowed

PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
OWN = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}"
SYSTEM = f"{OWN}:inference-profile/{PROFILE}"
CLAIMS = f"{OWN}:application-inference-profile/a-haiku-claims"
LETTERS = f"{OWN}:application-inference-profile/a-haiku-letters"
GUARDRAIL = f"{OWN}:guardrail/g1"
MANAGED: Any = {"mode": "manage", "pii": [{"name": "EMAIL", "action": "anonymize"}]}
FILTERED = {"bedrock_GuardrailIdentifier": f"{GUARDRAIL}:1"}


def model(**more: Any) -> dict[str, Any]:
    return {
        "id": "haiku",
        "workload": "claims",
        "model": MODEL,
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "destination_regions": ["eu-central-1", "eu-west-1"],
        **more,
    }


PLAIN = {"id": "nova", "workload": "claims", "model": "amazon.nova-lite-v1:0", "region": "eu-central-1"}


def access(engine: Engine, sensitivity: str = "internal", name: str = "a", **more: Any) -> None:
    arguments = {"name": "internal", "sensitivity": sensitivity, "role": "internal-role", "models": [model()]}
    engine.deploy(BedrockAccess, name, {**arguments, **more})


def policy(engine: Engine) -> dict[str, Any]:
    return json.loads(engine.only("RolePolicy").inputs["policy"])


def foundation(region: str, name: str = MODEL) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


def may(engine: Engine, resource: str, **context: str) -> bool:
    """Whether the role may invoke it; both actions are the same."""
    matches = {
        allowed(policy(engine), f"bedrock:{action}", resource, **context)
        for action in ("InvokeModel", "InvokeModelWithResponseStream")
    }
    (match,) = matches
    return match
