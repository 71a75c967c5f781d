"""Invalid AWS settings on the command line: one paragraph that names the place and the fix.

The cases are `bad_aws_input.yaml`. There is no sandbox and no cluster around, so that what is said of the files
is said before anybody looks for one. `tests/sandbox/test_bad_account.py` is about what only an account tells.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from isthmus.cli import main
from isthmus.contracts.platform import overrides
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.core.errors import IsthmusError
from tests import authority
from tests.cli import test_bad_input as files
from tests.cli.conftest import resolve

CASES: dict[str, dict[str, Any]] = yaml_files.load(Path(__file__).with_name("bad_aws_input.yaml")).data
OVERRIDES = "isthmus:overrides"
ISSUED, KEY = authority.make()
CERTIFICATES = {
    "<ended>": authority.make(end="2026-02-01")[0],
    "<to come>": authority.make(start="2045-01-01")[0],
    "<with its key>": ISSUED + KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "<of a server>": authority.make(authority=False)[0],
    "<cut off>": ISSUED[:200],
}


def override(project: Path, trusts: dict[str, Any]) -> None:
    """Lay more over the stack's overrides, as its people would write it."""
    for trust in trusts.get("trust", []):
        if text := CERTIFICATES.get(trust.get("ca_certificates", "")):
            trust["ca_certificates"] = text
    data = yaml_files.load(files.settings(project)).data
    data["config"][OVERRIDES] = overrides.merge(data["config"][OVERRIDES], trusts)
    yaml_files.dump(data, "", files.settings(project))


def change(project: Path, case: dict[str, Any]) -> None:
    """Make the case's change in the project's files; a plan names the requirements, where they can be read."""
    resolve(project)
    for name in ("requirements", "plan", "settings"):
        if name in case:
            files.edit(getattr(files, name)(project), *case[name])
    if "override" in case:
        override(project, case["override"])
    if "requirements" in case:
        try:
            digest = requirements_document.load(files.requirements(project)).digest
        except IsthmusError:
            return
        files.edit(files.plan(project), r"requirements_sha256: \w+", f"requirements_sha256: {digest}")


@pytest.fixture
def no_cloud_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No sandbox, no cluster, no account; and the project's own `stacks` no longer than the test."""
    own_modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "stacks"}
    for name in list(os.environ):
        if name.startswith(("PULUMI_", "AWS_", "ISTHMUS_", "KUBECONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "no-home"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "stacks"]:
        del sys.modules[name]
    sys.modules.update(own_modules)


@pytest.mark.usefixtures("no_cloud_environment")
@pytest.mark.parametrize("name", CASES)
def test_wrong_aws_input_is_reported_a_paragraph_each_before_anything_is_created(project, capsys, name):
    case = CASES[name]
    change(project, case)
    code = main(["up", "bank-dev", "--project", str(project), "--yes"])
    result = capsys.readouterr()
    assert code == case["exit"], result.err
    assert result.out == ""
    for phrase in case["says"]:
        assert phrase in result.err
    *errors, last = result.err.splitlines()
    assert all(line.startswith("isthmus: ") for line in [*errors, last])
    assert last.startswith(f"isthmus: {len(errors)} errors in all") if errors else True
    assert "Traceback" not in result.err
    assert "PRIVATE KEY" not in result.err
    assert not (project / "out").exists()


@pytest.mark.parametrize("name", ["no such personal data", "a site that answers for AWS"])
def test_render_reports_the_refusal_of_a_component(isthmus, project, name):
    case = CASES[name]
    change(project, case)
    result = isthmus("render", "bank-dev", "--project", project, "-o", project / "made")
    assert result.code == case["exit"]
    for phrase in case["says"]:
        assert phrase in result.err
    assert not (project / "made").exists()


def test_comments_around_a_certificate_are_accepted_and_not_sent_to_aws(isthmus, project):
    pem = f"Bank CA\n{ISSUED}kept by team pki\n"
    override(project, {"trust": [{"name": "frankfurt", "ca_certificates": pem}]})
    result = isthmus("render", "bank-dev", "--project", project, "-o", project / "made")
    assert result.code == 0, result.err
    rendered = "".join(file.read_text() for file in (project / "made" / "aws").rglob("*") if file.is_file())
    assert ISSUED.splitlines()[1] in rendered
    assert "kept by team pki" not in rendered
