"""A gateway of class internal with its detector, a model at its own site, and one outside the site."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.edge.certificates import Authority
from tests.edge.conftest import callers_text
from tests.edge.fake_model import MODEL, FakeModel
from tests.edge.processes import Edge

GATEWAY, MODELS = "internal-gateway.isthmus-internal.svc", "models.isthmus-internal.svc"
IBAN = "DE89 3704 0044 0532 0130 00"
KEYS = {name: f"key-of-{name}" for name in ("own", "cloud", "both", "guarded", "judged", "ranked")}


@dataclass
class Screened:
    """The running processes, and the client of the gateway."""

    gateway: Edge
    detector: Edge
    own: FakeModel
    cloud: FakeModel
    judge: FakeModel
    client: httpx.Client

    def reset(self) -> None:
        """Reset the models: correct behaviour, and no recorded requests."""
        for model in (self.own, self.cloud, self.judge):
            model.reset()
        self.judge.words = ["safe"]

    def ask(self, workload: str, text: str = "Hallo", **fields: Any) -> httpx.Response:
        """Send a chat completion."""
        body = {"model": workload, "messages": [{"role": "user", "content": text}], **fields}
        return self.client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEYS[workload]}"}
        )

    def post(self, workload: str, path: str, **fields: Any) -> httpx.Response:
        """Send a request of another task."""
        headers = {"authorization": f"Bearer {KEYS[workload]}"}
        return self.client.post(path, json={"model": workload, **fields}, headers=headers)

    def verdicts(self, answer: httpx.Response) -> list[str]:
        """The recorded verdicts of the request."""
        line = self.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
        return line.get("verdicts", [])


def shows_the_account(text: str) -> bool:
    """Whether the text has eight consecutive digits of `IBAN`. Four digits occur in some request ids by chance."""
    digits = IBAN[4:].replace(" ", "")
    return any(digits[at : at + 8] in text.replace(" ", "") for at in range(len(digits) - 7))


def text_of(answer: httpx.Response) -> str:
    """All words of an answer, whole or streamed."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json()["choices"][0]["message"]["content"]
    return "".join(choice["delta"].get("content") or "" for choice in choices_of(answer))


def heads_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The answer itself, or the events of a stream, in order."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return [answer.json()]
    lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def choices_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The choices of a stream's events, in order."""
    return [choice for event in heads_of(answer) for choice in event.get("choices", ())]


def code_in(answer: httpx.Response) -> str:
    """The error code of an answer, or at the end of a stream."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json()["error"]["code"] if answer.status_code != 200 else "ok"
    last = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")][-1]
    return "ok" if last == "[DONE]" else json.loads(last)["error"]["code"]


def german_model(folder: Path) -> dict[str, str]:
    """A spaCy pipeline that knows two names, packed like a wheel. Returns its entry in a detector's rules."""
    import spacy

    nlp = spacy.blank("de")
    names = [{"label": "PER", "pattern": "Käthe Groß"}, {"label": "ORG", "pattern": "Nordbank"}]
    nlp.add_pipe("entity_ruler").add_patterns(names)  # type: ignore[attr-defined]
    (folder / "own").mkdir(parents=True)
    nlp.to_disk(folder / "own" / "own-1.0.0")
    archive = Path(shutil.make_archive(str(folder / "own"), "zip", folder, "own"))
    return {
        "file": str(archive),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "language": "de",
    }


EVERY = ["completions", "responses", "messages", "tokenize"]


class Ranking(FakeModel):
    """A fake model server that also ranks, and repeats the documents as vLLM does."""

    def answer_to(self, path: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if path != "/v1/rerank":
            return None
        results = [
            {"index": index, "document": {"text": text}, "relevance_score": 0.5}
            for index, text in enumerate(request["documents"])
        ]
        return {"id": "rerank-1", "model": MODEL, "results": results, "usage": {"total_tokens": 9}}


def detector_config(**rules: Any) -> dict[str, Any]:
    return {"mode": "detector", "class": "internal", "rules": {"languages": ["de"], **rules}, "workers": 1}


def sidecar_config(folder: Path, model: FakeModel) -> dict[str, Any]:
    return {
        "mode": "sidecar",
        "class": "internal",
        "listen": _tls(folder, "models"),
        "allowed_clients": [GATEWAY],
        "upstream": model.url,
    }


def gateway_config(folder: Path, detector: str, ports: Mapping[str, int]) -> dict[str, Any]:
    """A configuration with models at the site, outside it, and both; one workload has guards, one a guard model."""
    own_route = {
        "url": f"https://127.0.0.1:{ports['own']}",
        "server_name": MODELS,
        "model": MODEL,
        "target": "onprem-vllm",
    }
    cloud = {
        "url": f"https://127.0.0.1:{ports['cloud']}",
        "server_name": MODELS,
        "model": MODEL,
        "site": "aws",
    }
    judge = {"url": f"https://127.0.0.1:{ports['judge']}", "server_name": MODELS, "model": MODEL}
    return {
        "mode": "gateway",
        "class": "internal",
        "site": "fra1",
        "listen": _tls(folder, "gateway"),
        "callers": str(folder / "callers.yaml"),
        "upstream_tls": _tls(folder, "gateway", ca="ca"),
        "limits": {"connect_timeout_s": 2, "request_timeout_s": 10},
        "routes": [
            {"workload": "own", **own_route},
            {"workload": "cloud", **cloud, "interfaces": ["responses", "messages"]},
            {"workload": "both", **own_route, "overflow": {k: v for k, v in cloud.items() if k != "site"}},
            {"workload": "guarded", **own_route, "site": "fra1", "interfaces": EVERY},
            {"workload": "ranked", **cloud, "task": "rerank"},
            {"workload": "judged", **own_route},
        ],
        "screening": {
            "detector": detector,
            "languages": ["de"],
            "guards": [
                {"name": "attacks", "on": "prompts", "workloads": ["guarded"], "entities": ["PROMPT_ATTACK"]},
                {"name": "weapons", "on": "both", "workloads": ["guarded"], "entities": ["TOPIC_WEAPONS"]},
                {"name": "accounts", "on": "outputs", "workloads": ["guarded"], "entities": ["IBAN_CODE"]},
                {
                    "name": "mail",
                    "on": "outputs",
                    "workloads": ["guarded"],
                    "entities": ["EMAIL_ADDRESS"],
                    "then": "record",
                },
                {"name": "size", "on": "outputs", "workloads": ["guarded"], "max_characters": 400},
                {"name": "judge", "on": "both", "workloads": ["judged"], "model": judge},
            ],
        },
    }


def _tls(folder: Path, name: str, ca: str = "client_ca") -> dict[str, str]:
    return {"certificate": f"{folder}/{name}.crt", "key": f"{folder}/{name}.key", ca: f"{folder}/ca.crt"}


def authority_of(folder: Path) -> Authority:
    """The CA of all processes in this setup."""
    authority = Authority(folder)
    authority.issue("gateway", GATEWAY)
    authority.issue("models", MODELS)
    authority.issue("app", "app.internal.svc")
    (folder / "callers.yaml").write_text(callers_text(KEYS))
    return authority
