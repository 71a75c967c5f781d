"""The settings of Open WebUI 0.12.4: its switches, our proxy beside it, and the class on its pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.config.chat import REQUESTS_PATH
from isthmus.core import yaml_files

PORT, MODELS_PORT = 8080, 8081
"""Ports on the pod's loopback: Open WebUI, and our proxy where it asks models."""
SESSION_S = 28800
"""Longest session of a person, in seconds."""
SWITCHES_FILE = Path(__file__).with_name("open_webui_switches.yaml")
CONNECTIONS = 40
"""Connections to its database at most."""
SECRETS = "/etc/isthmus/chat"
"""Folder of the chat's Secret in its pod."""
DATA = "/data"
START = (
    "bash",
    "-c",
    f'DATABASE_PASSWORD="$(cat {SECRETS}/password)" WEBUI_SECRET_KEY="$(cat {SECRETS}/session.key)" exec bash start.sh',
)
"""How it starts: its own script, with secrets from files, because a pod's spec must not have them."""
_MAY_ENTER = {
    "public": "Enter nothing that is not for everybody.",
    "internal": "Enter nothing about customers or staff.",
    "confidential": "You may enter customer data that your work needs, and nothing of class restricted.",
    "restricted": "Everything stays on the site, and no history is kept.",
}


@dataclass(frozen=True)
class OpenWebUi:
    """One Open WebUI."""

    data_class: str
    url: str
    """Where people open it."""
    workloads: Sequence[str]
    """What it offers."""
    keeps_history: bool
    port: int = PORT
    models_port: int = MODELS_PORT

    def environment(self) -> dict[str, str]:
        """Its environment, but for its database and secrets."""
        models = f"http://127.0.0.1:{self.models_port}/v1"
        return {
            **switches(keeps_history=self.keeps_history),
            "ENV": "prod",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "USE_SLIM_DOCKER": "true",
            "WEBUI_NAME": f"{self.data_class.capitalize()} chat",
            "WEBUI_URL": self.url,
            "CORS_ALLOW_ORIGIN": self.url,
            "WEBUI_BANNERS": json.dumps([self._banner()]),
            "DEFAULT_USER_ROLE": "user",
            "DEFAULT_LOCALE": "en-US",
            "DEFAULT_PROMPT_SUGGESTIONS": "[]",
            "DEFAULT_MODELS": next(iter(self.workloads), ""),
            "WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "x-isthmus-account",
            "WEBUI_AUTH_TRUSTED_NAME_HEADER": "x-isthmus-name",
            "WEBUI_AUTH_TRUSTED_ROLE_HEADER": "x-isthmus-role",
            "WEBUI_AUTH_SIGNOUT_REDIRECT_URL": "/oauth2/sign_out?rd=%2F",
            "JWT_EXPIRES_IN": f"{SESSION_S}s",
            "OPENAI_API_BASE_URLS": models,
            "OPENAI_API_CONFIGS": json.dumps({"0": self._connection()}),
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_OPENAI_API_BASE_URL": models,
            "VECTOR_DB": "pgvector",
            "AIOHTTP_CLIENT_TIMEOUT": "600",
            # When many sign in at once, the list comes late. After the usual 10 s the page would offer nothing.
            "AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": "60",
            "USER_AGENT": "isthmus-chat",
            "AUDIT_LOG_LEVEL": "NONE",
            "GLOBAL_LOG_LEVEL": "WARNING",
            "DO_NOT_TRACK": "true",
            "SCARF_NO_ANALYTICS": "true",
            "ANONYMIZED_TELEMETRY": "false",
            "HF_HUB_OFFLINE": "1",
            "DATA_DIR": DATA,
            "STATIC_DIR": f"{DATA}/static",
            "HOME": DATA,
        }

    def _connection(self) -> dict[str, object]:
        """How it asks our proxy: with the person's cookies, and the message's id as the name of the request."""
        return {
            "enable": True,
            "auth_type": "none",
            "forward_cookies": True,
            "connection_type": "local",
            "model_ids": list(self.workloads),
            "headers": {"X-Client-Request-Id": "{{MESSAGE_ID}}"},
        }

    def _banner(self) -> dict[str, object]:
        text = f"**Class {self.data_class}.** {_MAY_ENTER[self.data_class]} [My requests]({REQUESTS_PATH})"
        return {
            **{"id": f"class-{self.data_class}", "type": "info", "title": "", "content": text},
            **{"dismissible": False, "timestamp": 0},
        }


def switches(*, keeps_history: bool) -> dict[str, str]:
    """Every switch. `keeps_history`: whether people may have chats that are kept."""
    read = _read_switches()
    return {
        **dict.fromkeys(read["on"], "true"),
        **dict.fromkeys(read["off"], "false"),
        **dict.fromkeys(read["without_history"], "false" if keeps_history else "true"),
    }


@cache
def _read_switches() -> dict[str, list[str]]:
    return yaml_files.load(SWITCHES_FILE).data


def database_variables(host: str, port: int, name: str, user: str) -> dict[str, str]:
    """Where conversations are kept. The password is a file (`START`)."""
    return {
        "DATABASE_TYPE": "postgresql",
        "DATABASE_HOST": host,
        "DATABASE_PORT": str(port),
        "DATABASE_NAME": name,
        "DATABASE_USER": user,
        # An answer holds a connection while it is written; with the default of 15 the sixteenth person waits.
        "DATABASE_POOL_SIZE": "20",
        "DATABASE_POOL_MAX_OVERFLOW": str(CONNECTIONS - 20),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": f"{SECRETS}/ca.crt",
    }


def other_chat(port: int = PORT, models_port: int = MODELS_PORT) -> dict[str, str]:
    """The environment of another chat than Open WebUI, but for its database."""
    return {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{models_port}/v1",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "HOME": DATA,
    }


def variables() -> set[str]:
    """The names of all variables of a chat's container."""
    chat = OpenWebUi("public", "", (), keeps_history=True)
    return {*chat.environment(), *other_chat(), *database_variables("", 0, "", "")}
