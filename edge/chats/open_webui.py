"""Gives Open WebUI its functions and its models, and removes all others.

Both are rows of its database, which only an administrator may write. The one administrator is an account of this
proxy, which signs in by the header that only the proxy can send; people never have this role.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from edge.config.chat import ChatConfig
from edge.upstream import Client, plain_headers, read_answer

ACCOUNT = "isthmus@service.invalid"
_CAPABILITIES = (
    *("vision", "file_upload", "file_context", "web_search", "image_generation", "code_interpreter"),
    *("citations", "builtin_tools"),
)
BUTTONS = Path(__file__).with_name("answer_buttons.py")


async def install(chat: Client, config: ChatConfig) -> None:
    """Install functions and models. Raises httpx.HTTPError, Refusal, ValueError or KeyError."""
    who = {"x-isthmus-account": ACCOUNT, "x-isthmus-name": "Isthmus", "x-isthmus-role": "admin"}
    signed_in = await _post(chat, config, "/api/v1/auths/signin", who, {"email": "", "password": ""})
    who["authorization"] = f"Bearer {signed_in['token']}"
    await _post(chat, config, "/api/v1/functions/sync", who, {"functions": [_buttons(config)]})
    models = [_model(config, grant.workload) for grant in config.tokens.workloads]
    await _post(chat, config, "/api/v1/models/sync", who, {"models": models})


def _buttons(config: ChatConfig) -> dict[str, Any]:
    address = f"http://{config.inner.host}:{config.inner.port}"
    content = BUTTONS.read_text("utf-8").replace('"http://127.0.0.1:8081"', json.dumps(address))
    now = int(time.time())
    return {
        **{"id": "answer_buttons", "name": "Answer buttons", "type": "action", "content": content},
        **{"meta": {"description": "Good answer, poor answer, ask a person"}, "is_active": True},
        **{"is_global": True, "created_at": now, "updated_at": now},
    }


def _model(config: ChatConfig, workload: str) -> dict[str, Any]:
    """A workload as a model that everybody in the chat may use; the proxy and the gateway say who may."""
    now = int(time.time())
    everybody = {"id": f"read-{workload}", "resource_type": "model", "resource_id": workload}
    everybody |= {"principal_type": "user", "principal_id": "*", "permission": "read", "created_at": now}
    capabilities = dict.fromkeys(_CAPABILITIES, False) | {"usage": True, "status_updates": True}
    return {
        **{"id": workload, "user_id": "", "name": workload, "params": {}, "is_active": True},
        **{"meta": {"description": config.model_names.get(workload, ""), "capabilities": capabilities}},
        **{"access_grants": [everybody], "created_at": now, "updated_at": now},
    }


async def _post(
    chat: Client, config: ChatConfig, path: str, headers: dict[str, str], body: dict[str, Any]
) -> Any:
    response = await chat.send(
        "POST",
        config.chat + path,
        body=json.dumps(body).encode(),
        headers={**plain_headers("application/json"), **headers},
    )
    answer = await read_answer(response)
    if response.status_code != 200:
        raise ValueError(f"{path} says {response.status_code}")
    return json.loads(answer)
