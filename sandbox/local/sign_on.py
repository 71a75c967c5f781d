"""Runs the proxies of a stack's sign-ons here, before chats and review desks: oauth2-proxy from its Go module.

Each gets what its container states. Only places change, and TLS before a chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox import toolchain
from sandbox.local.adapting import LOOPBACK, Places, Substitution
from sandbox.local.pods import Pod, Program

TOOL, PROGRAM = "sign-on-proxy", "oauth2-proxy"


def install() -> float:
    """Install oauth2-proxy if it is not there. Returns 0.0, as if it took no time. Raises `EnvironmentFault`."""
    if toolchain.find(PROGRAM) is None:
        toolchain.install(tools=[TOOL])
    return 0.0


def command(
    pod: Pod, program: Program, folders: Mapping[str, str], places: Places
) -> tuple[list[str], dict[str, str], list[Substitution]]:
    """Command and environment of oauth2-proxy, and what differs from its container."""
    changed = {
        **(_before_chat(pod, places) if pod.role == "sign-on" else _before_desk(pod, places)),
        "--oidc-issuer-url": places.issuer,
        "--provider-ca-file": "",
        "--metrics-address": f"{LOOPBACK}:{places.port(pod.label, 'metrics')}",
    }
    arguments, substitutions = [], []
    for argument in program.command:
        name, _, value = argument.partition("=")
        now = changed.get(name, _here(value, folders))
        if now != value:
            substitutions.append(
                Substitution(pod.label, f"sign-on: {name}", value or "nothing", now or "nothing")
            )
        if now:
            arguments.append(f"{name}={now}")
    environment = {name: _here(value, folders) for name, value in program.environment.items()}
    return [str(toolchain.find(PROGRAM)), *arguments], environment, substitutions


def client_of(program: Program) -> str:
    """The client of a proxy at the sign-on."""
    return next(
        (
            value
            for name, _, value in (text.partition("=") for text in program.command)
            if name == "--client-id"
        ),
        "",
    )


def _before_chat(pod: Pod, places: Places) -> dict[str, str]:
    """Without TLS: browsers would not trust the local authority."""
    chat = f"isthmus-{pod.data_class}-chat/{pod.data_class}-chat"
    url = f"http://{LOOPBACK}:{places.port(pod.label, 'listen')}"
    return {
        "--redirect-url": f"{url}/oauth2/callback",
        "--upstream": f"https://{LOOPBACK}:{places.port(chat, 'listen')}/",
        "--cookie-secure": "false",
        "--http-address": url.removeprefix("http://"),
        "--https-address": "",
        "--tls-cert-file": "",
        "--tls-key-file": "",
    }


def _before_desk(pod: Pod, places: Places) -> dict[str, str]:
    """With TLS, by the local authority: the desk's cookie and its forms need `https://`."""
    reviews = f"isthmus-{pod.data_class}-reviews/{pod.data_class}-reviews"
    url = places.desk_url(pod.data_class)
    return {
        "--redirect-url": f"{url}/oauth2/callback",
        "--upstream": f"https://{LOOPBACK}:{places.port(reviews, 'desk')}/",
        "--https-address": url.removeprefix("https://"),
    }


def _here(value: str, folders: Mapping[str, str]) -> str:
    for path, folder in _longest_first(folders):
        if value.startswith(f"{path}/"):
            return folder + value.removeprefix(path)
    return value


def _longest_first(folders: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return sorted(folders.items(), key=lambda entry: -len(entry[0]))
