"""Runs the chats of a stack here: Open WebUI from its package. It gets what its container states, in other places."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from isthmus.contracts.reference.open_webui import SECRETS, START
from sandbox.local.adapting import LOOPBACK, Places, Substitution, chat_database_name
from sandbox.local.pods import Pod, Program
from sandbox.toolchain.packages import Packages

PACKAGES = Packages("open-webui", Path(__file__).with_name("open-webui.lock"))
PYTHONS = ((3, 11), (3, 12))
"""Versions of Python for which Open WebUI is published."""


def missing() -> str:
    """Why no chat can run here; empty if one can."""
    if sys.version_info[:2] not in PYTHONS:
        return f"Open WebUI needs Python 3.11 or 3.12, and this is {sys.version_info.major}.{sys.version_info.minor}"
    return ""


def install() -> float:
    """Install Open WebUI. Returns the seconds that it took. Raises `EnvironmentFault`."""
    return PACKAGES.install()


def address(pod: Pod, places: Places) -> str:
    """Where people open the chat of a class: at its sign-on."""
    return f"http://{LOOPBACK}:{places.port(f'isthmus-{pod.data_class}-sign-on/{pod.data_class}-sign-on', 'listen')}"


def open_webui(
    pod: Pod, program: Program, folders: Mapping[str, str], places: Places, data: Path
) -> tuple[list[str], dict[str, str], list[Substitution]]:
    """Command and environment of Open WebUI, and what differs from its container. `data`: its folder here."""
    url, port = address(pod, places), places.port(pod.label, "chat")
    models = f"http://{LOOPBACK}:{places.port(pod.label, 'inner')}/v1"
    changed = {
        "PORT": str(port),
        "WEBUI_URL": url,
        "CORS_ALLOW_ORIGIN": url,
        "OPENAI_API_BASE_URLS": models,
        "RAG_OPENAI_API_BASE_URL": models,
        "WEBUI_SESSION_COOKIE_SECURE": "false",
        "WEBUI_AUTH_COOKIE_SECURE": "false",
        "DATABASE_HOST": LOOPBACK,
        "DATABASE_PORT": str(places.database_port),
        "DATABASE_NAME": chat_database_name(pod.data_class),
        "PGSSLMODE": "disable",  # the server on the loopback speaks no TLS
        "PGSSLROOTCERT": "",
        "DATA_DIR": str(data),
        "STATIC_DIR": str(data / "static"),
        "HOME": str(data),
    }
    stated = {**program.environment, "FROM_INIT_PY": "true"}
    said = [
        Substitution(pod.label, f"chat: {name}", stated[name], value or "nothing")
        for name, value in changed.items()
        if name in stated and stated[name] != value
    ]
    python = PACKAGES.program("python")
    started = f"{python} -m uvicorn open_webui.main:app --host {LOOPBACK} --port {port}"
    script = START[2].replace("bash start.sh", started).replace(SECRETS, folders[SECRETS])
    said.append(Substitution(pod.label, "chat: start.sh of the image", "bash start.sh", started))
    environment = {name: value for name, value in {**stated, **changed}.items() if value}
    return [*START[:2], script], environment, said
