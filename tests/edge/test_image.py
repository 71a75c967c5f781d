"""Contents of the images: their lock files, and what each mode imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest

from scripts.lock import read_pins
from tests.edge.processes import ROOT

LOCKS = {
    "requirements.lock": ["edge"],
    "translator-requirements.lock": ["edge", "translator"],
    "detector-requirements.lock": ["edge", "detector"],
    "notifier-requirements.lock": ["edge", "notifier"],
    "evaluator-requirements.lock": ["evaluator"],
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(file: str) -> dict[str, str]:
    return {pin.name: pin.version for pin in read_pins((ROOT / file).read_text())}


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_file_has_its_extras(file: str):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    required = {normal(re.split(r"[\[<>=~!; ]", line)[0]) for name in LOCKS[file] for line in extras[name]}
    assert required <= set(locked(f"edge/{file}"))


def test_the_gateway_image_contains_neither_litellm_nor_aws_nor_pulumi():
    unwanted = {"litellm", "boto3", "botocore", "openai", "pulumi", "spacy", "google-re2", "apprise"}
    assert not unwanted & set(locked("edge/requirements.lock"))
    assert not {name for name in locked("edge/translator-requirements.lock") if name.startswith("pulumi")}


def test_the_lock_files_of_images_agree_with_the_repositorys_lock():
    versions = locked("dev-requirements.lock")
    for file in LOCKS:
        differing = {n: v for n, v in locked(f"edge/{file}").items() if v != versions.get(n, v)}
        assert differing == {}


GATEWAY = (
    "import edge.server, edge.gateway, edge.sidecar, edge.keys, edge.reviewers, edge.reviews.service, requests\n"
    "import opentelemetry.exporter.otlp.proto.http.trace_exporter, opentelemetry.sdk.trace.export\n"
    "import cryptography.hazmat.primitives.ciphers.aead, cryptography.hazmat.primitives.asymmetric.ed25519\n"
)
DETECTOR = (
    "import edge.detection, edge.server, spacy\n"
    "from edge.redaction import Detector, Rules\n"
    "Detector(Rules()).detect('DE89370400440532013000, 86 095 742 719, 943 476 5919')\n"
)
NOTIFIER = (
    "import edge.notifier.process, edge.outbox, edge.listeners, holidays, apprise\n"
    "holidays.country_holidays('DE', subdiv='HE').get('2026-12-25')\n"
    "apprise.Apprise.instantiate('mailtos://relay.example?from=a@b.example&to=c@d.example')\n"
)
EVALUATOR = "import isthmus.engine.evaluation.job, ruamel.yaml, filelock\n"
SEALER = "import edge.audit.sealing, boto3, cryptography.hazmat.primitives.asymmetric.ed25519\n"


@pytest.mark.parametrize(
    ("imports", "lock"),
    [
        (GATEWAY, "requirements.lock"),
        (SEALER, "translator-requirements.lock"),
        (DETECTOR, "detector-requirements.lock"),
        (NOTIFIER, "notifier-requirements.lock"),
        (EVALUATOR, "evaluator-requirements.lock"),
    ],
)
def test_every_mode_imports_only_packages_of_its_lock(imports: str, lock: str):
    program = (
        f"import json, sys, importlib.metadata as m\n{imports}"
        "tops = {name.split('.')[0] for name in sys.modules}\n"
        "owners = m.packages_distributions()\n"
        "files = {getattr(module, '__file__', None) for module in sys.modules.values()}\n"
        # Several distributions may share a namespace package. Count only those whose files were loaded.
        "def used(d): return any(str(m.distribution(d).locate_file(f)) in files for f in m.files(d) or ())\n"
        "found = [owners.get(top, []) for top in tops]\n"
        "print(json.dumps(sorted({d for many in found for d in many if len(many) == 1 or used(d)})))\n"
        "print(json.dumps(sorted(tops & {'isthmus', 'components', 'sandbox', 'stacks', 'policies'})))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    distributions, modules = (json.loads(line) for line in ended.stdout.splitlines())
    # httpx, anyio, OpenTelemetry and oauthlib work without these. The others are hooks of a development environment.
    optional = {"rich", "pygments", "blinker", "sniffio", "setuptools", "psutil", "isthmus"}
    assert {normal(name) for name in distributions} - optional <= set(locked(f"edge/{lock}"))
    assert modules == (["isthmus", "sandbox"] if imports is EVALUATOR else [])
