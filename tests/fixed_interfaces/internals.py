"""The only place of this package that names modules and functions of the product.

Each function has one import block. When a module or a function gets another name, change the import here and nothing
else: what the function returns must stay the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import runpy
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter

ROOT = Path(__file__).resolve().parents[2]
TIME = "2026-11-25T12:00:00.000Z"
WRITER = "gateway-0-20261125t120000z-0123abcd"
SECRET = bytes(range(32))
"""Stands for every key."""


# --- the command line: the console script that pyproject.toml names ---


def run_cli(*arguments: str) -> str:
    """Standard output of `isthmus ARGUMENTS`, which must end with 0 or 1."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, function = tomllib.load(file)["project"]["scripts"]["isthmus"].split(":")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = getattr(importlib.import_module(module), function)(list(arguments))
    assert code in (0, 1), f"`isthmus {' '.join(arguments)}` ended with {code}: {err.getvalue()[-2000:]}"
    return out.getvalue()

    # --- programs of the edge: `python -m MODULE` ---


def run_module_help(module: str, *arguments: str) -> str:
    """Standard output of `python -m MODULE WORDS --help`."""
    out, before = io.StringIO(), sys.argv
    sys.argv = [module, *arguments, "--help"]
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit), warnings.catch_warnings():
            # `runpy` warns of a module that is imported already, as it is in a run of the tests.
            warnings.simplefilter("ignore")
            runpy.run_module(module, run_name="__main__")
    finally:
        sys.argv = before
    return out.getvalue()

    # --- the components' package ---

    # --- JSON outputs and files that need an engine, a rendering or much data: their models ---


def output_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of each output or file, by the command that prints or reads it."""
    from edge.confidence.calibration import Calibration
    from isthmus.contracts.platform.layers import Given
    from isthmus.contracts.platform.model.emergency_access import Record
    from isthmus.contracts.reports.calibration import Reliability
    from isthmus.contracts.reports.comparison import Comparison
    from isthmus.contracts.reports.drift import Drift
    from isthmus.contracts.reports.evidence import Evidence
    from isthmus.contracts.reports.measured_traffic import FromUsage
    from isthmus.contracts.reports.preview import Preview
    from isthmus.contracts.reports.value import ValueReport
    from isthmus.engine.seen import Answer, Order
    from sandbox.status import Status

    models: dict[str, Any] = {
        "preview and ci": Preview,
        "compare": Comparison,
        "plan --from-usage": FromUsage,
        "value": ValueReport,
        "drift": Drift,
        "evidence": Evidence,
        "sandbox status": Status,
        "calibrate": Reliability,
        "file of calibrate": Calibration,
        "file of an emergency access": Record,
        "outputs of a layer": Given,
        "order of ci to another version": Order,
        "answer of another version to ci": Answer,
    }
    return {
        name: TypeAdapter(model).json_schema(by_alias=True, mode="serialization")
        for name, model in models.items()
    }


def sanitise_summary() -> dict[str, Any]:
    """As `isthmus sanitise --format json` prints it, of no files."""
    from edge.sanitising.manifest import build_summary

    return build_summary([], b"", complete=True)


def setting_names() -> tuple[str, ...]:
    """Keys of a stack's configuration, without `isthmus:`."""
    from isthmus.engine.project.project import SETTINGS

    return SETTINGS


def images_output() -> dict[str, Any]:
    """As `isthmus images STACK --format json` prints it, of one image and one chart."""
    from isthmus.reports.images.inventory import Inventory, InventoryItem
    from isthmus.reports.images.mirror_lists import as_data

    item = InventoryItem(
        "edge", "registry/edge:1", "sha256:" + "1" * 64, "mirror/edge", ("namespace/pod",), True
    )
    return as_data(Inventory([item], [item]))

    # --- configuration files of the edge ---


def edge_configuration_schema() -> dict[str, Any]:
    """JSON Schema of the YAML file of `python -m edge --config FILE`, all modes."""
    from edge.config.loading import _ADAPTER

    return _ADAPTER.json_schema(by_alias=True)

    # --- metrics of a gateway ---


def gateway_metrics() -> bytes:
    """What Prometheus reads of a gateway that has answered one request."""
    from edge.exchange import Exchange
    from edge.metrics import Metrics

    metrics = Metrics("restricted")
    metrics.watch_audit(lambda: 0.0)
    endpoint: Any = SimpleNamespace(
        name="model",
        good=True,
        running=0,
        waiting=0,
        replica_states={"good": 1},
        queued=0,
        limit=1,
        is_resolved=True,
    )
    metrics.watch(endpoint)
    probes = metrics.watch_models()
    probes.add("model", "llama", "ok", 0.1)
    probes.note("model", "llama", failures=0, replicas=0)
    metrics.unsent(endpoint)
    metrics.entered()
    metrics.add(_exchange(Exchange, code="timeout"), 0.1)
    return metrics.text()


def _exchange(exchange: Any, **more: Any) -> Any:
    values = {
        "method": "POST",
        "request_id": "0" * 32,
        "path": "/v1/chat/completions",
        "workload": "claims",
        "team": "claims-team",
        "identity": "key:1",
        "model": "claims-model",
        "endpoint": "model.svc:8443",
        "attempts": 1,
        "trace_id": "1" * 32,
        "variant": "canary",
        "status": 200,
        "bytes_in": 10,
        "bytes_out": 20,
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "verdicts": ["guard:allowed"],
        "gpu_seconds": 0.5,
        "usd": 0.25,
        "confidence": {"score": 0.5},
    }
    return exchange(**{**values, **more})

    # --- lines of the journal ---


def journal_lines() -> list[dict[str, Any]]:
    """What a gateway prints of a request of which all is known, and of one of which nothing is known."""
    from edge.exchange import Exchange
    from edge.journal import Journal
    from edge.metrics import Metrics

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            exchange = _exchange(Exchange)
            for name, value in vars(exchange).items():
                if name not in ("started", "settle", "bytes_out", "request_id"):
                    setattr(scope["state"]["exchange"], name, value)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def nothing(*_: Any) -> Any:
        return None

    paths = {"/v1/chat/completions"}
    journal = Journal(
        application, mode="gateway", data_class="restricted", metrics=Metrics("restricted"), paths=paths
    )
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for method in ("POST", "GET"):
            scope: Any = {"type": "http", "method": method, "path": "/v1/chat/completions"}
            asyncio.run(journal(scope, nothing, nothing))
    return [json.loads(line) for line in out.getvalue().splitlines()]

    # --- audit records ---


def audit_lines() -> list[bytes]:
    """The chain of one writer with a record of each kind; times, ids and keys are fixed."""
    from edge.audit.auditor import AuditedRequest, Auditor
    from edge.audit.content import Hmacs
    from edge.audit.records import Chain
    from edge.config import Place
    from edge.exchange import Exchange
    from edge.reviews.decision_records import fields as review_fields

    records: list[tuple[str, dict[str, Any]]] = []

    async def append(kind: str, fields: dict[str, Any], content: bytes = b"") -> None:
        records.append((kind, fields))

    log = SimpleNamespace(name="gateway-0", append=append, require_sealed=lambda: None)
    auditor = object.__new__(Auditor)
    vars(auditor).update(
        settings=SimpleNamespace(policy="policy-1", content=None),
        data_class="restricted",
        site="fra1",
        hmacs=Hmacs(SECRET),
        keys=None,
        log=log,
        _anonymous=0,
        _refused={"invalid_api_key": 2},
        _since=TIME,
    )
    place = Place(
        url="https://model.svc:8443",
        server_name="model.svc",
        model="claims-model",
        target="onprem-vllm",
        model_digest="sha256:" + "1" * 64,
    )

    async def requests() -> None:
        audited_request = AuditedRequest(auditor, _exchange(Exchange))
        await audited_request.intent({"model": "claims-model", "messages": []}, place, lambda: None)
        await audited_request.outcome(ended_well=True)
        # Of this one nothing more is known, as after a crash.
        unfinished = AuditedRequest(auditor, _exchange(Exchange, request_id="1" * 32))
        await unfinished.intent({"model": "claims-model", "messages": []}, place, lambda: None)
        refused = Exchange("POST", request_id="f" * 32, status=404, code="model_not_found", identity="key:1")
        await AuditedRequest(auditor, refused).outcome(ended_well=False)
        await auditor.tell_refused()
        reviewer = {"workload": "", "team": "reviewers", "identity": "reviewer:1"}
        await auditor.review(
            review_fields(
                "held-1", "approve", actor=reviewer, state="approved", version=2, reason="correct", line=b"{}"
            )
        )

    asyncio.run(requests())
    act = {"subject": "u-" + "0" * 32, "by": "officer"}
    opening = {"class": "restricted", "site": "fra1", "gateway": "gateway-0", "policy": "policy-1"}
    records = [
        ("open", opening),
        *records,
        ("hold", {**act, "reason": "case-1"}),
        ("release", act),
        ("erase", act),
        ("close", {}),
    ]
    chain = Chain(WRITER)
    for _, fields in records:
        fields.update({name: 12 for name in ("ms",) if name in fields})
    return [chain.write(kind, TIME, fields) for kind, fields in records]


def read_audit_lines(lines: list[bytes]) -> list[str]:
    """What the reader of today finds wrong in a chain."""
    from edge.audit.records import Chain, find_shape_error

    chain = Chain(WRITER)
    return [wrong for line in lines if (wrong := find_shape_error(chain.follow(line)))]


@contextlib.contextmanager
def sealed_store() -> Iterator[tuple[Path, Path]]:
    """A store with one seal over `audit_lines`, as a folder; and the public key's file."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    from edge.audit.seal_format import Signer
    from edge.audit.sealer import Sealer, SealerSettings
    from edge.audit.stores import FolderStore

    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chain = folder / "records" / WRITER
        for path in (chain, folder / "seals", folder / "store"):
            path.mkdir(parents=True)
        (chain / "lock").touch()
        (chain / "000000000000.jsonl").write_bytes(b"".join(line + b"\n" for line in audit_lines()))
        public = folder / "seal.pub"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        signer = Signer(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        sealer = Sealer(
            FolderStore(folder / "store"),
            signer,
            SealerSettings(
                records=folder / "records",
                seals=folder / "seals",
                data_class="restricted",
                site="fra1",
                every_s=10,
                idle_s=3600,
                keep_days=1,
                content_days=1,
            ),
            clock=lambda: TIME,
        )
        sealer.restore()
        assert sealer.seal() is not None
        yield folder / "store", public


def read_seal(data: bytes) -> bool:
    """Whether the reader of today takes a seal that was signed with `SECRET`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge.audit.seal_format import key_id, read

    public = Ed25519PrivateKey.from_private_bytes(SECRET).public_key()
    return read(data, {key_id(public): public}).number == 1


def emergency_access_text() -> str:
    """What two people sign for access in an emergency: `isthmus break-glass STACK ID`."""
    from isthmus.contracts.platform.model.emergency_access import Record

    record = Record.model_validate(
        {
            "id": "access-1",
            "requester": "one",
            "approver": "two",
            "reason": "INC-1: restart the gateway",
            "site": "fra1",
            "class": "restricted",
            "since": "2026-11-25T12:00:00Z",
            "until": "2026-11-25T13:00:00Z",
        }
    )
    return record.text("bank")


def content_line() -> dict[str, Any]:
    """The line that keeps what was asked and answered, as JSON; its bytes are encrypted and differ each time."""
    from edge.audit.content import encrypt, key_name
    from edge.audit.keys import Keys

    with tempfile.TemporaryDirectory() as name:
        key = key_name("u-" + "0" * 32, 30)
        line = encrypt(
            Keys(Path(name), SECRET), key, "2026-11-25", "0" * 32, {"messages": []}, b"{}", cut=False
        )
        return json.loads(line)

        # --- the database ---


def database_statements() -> dict[str, str]:
    """The SQL of each migration step in order, of the start, and the grants of each mode."""
    from edge.database.migrations import _START, GRANTS, STEPS

    steps = {f"step {number:02d}": text for number, text in enumerate(STEPS, 1)}
    return {"start": _START, **steps} | {f"grants of {mode}": text for mode, text in GRANTS.items()}
