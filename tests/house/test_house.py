"""The house's own rules, each of which has been broken somewhere else before."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

from isthmus.engine.evaluation.running import PARTS

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, or would on the next add; an unpacked archive has them all."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def requirement_name(line: str) -> str:
    """Normalised as in a lock: `ruamel.yaml` is `ruamel-yaml` there."""
    return re.split(r"[\[<>=!~ ]", line, maxsplit=1)[0].replace(".", "-")


def declared() -> set[str]:
    """Every package that `pyproject.toml` names but itself, whose extras it joins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        lines += extra
    lines += project["dependency-groups"]["dev"]
    return {requirement_name(line) for line in lines} - {"isthmus"}


def test_every_dependency_has_its_reason_in_the_docs():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    documented = {requirement_name(name) for name in re.findall(r"`([a-z0-9.\-\[\]]+)`", text)}
    assert declared() <= documented, f"without a reason: {sorted(declared() - documented)}"


FROM = {
    "botocore": "boto3",
    "google": "pulumi",
    "grafana_foundation_sdk": "grafana-foundation-sdk",
    "grpc": "pulumi",
    "jmespath": "boto3",
    "pulumi_aws": "pulumi-aws",
    "pulumi_kubernetes": "pulumi-kubernetes",
    "pydantic_core": "pydantic",
    "ruamel": "ruamel-yaml",
    "yaml": "pulumi",
}
"""The package that a module is of or comes with, where it has another name."""


WITH_EXTRA = {"isthmus.studio": "studio", "isthmus.usage": "bills"}
"""Packages that a command loads only after it has told which extra it needs."""
ELSEWHERE = {"isthmus.engine.evaluation.inspect_program": "isthmus/engine/evaluation/inspect.lock"}
"""Programs that run in an environment of their own, with the lock of its packages."""


@pytest.mark.parametrize("part", ["isthmus", "components", "stacks", "policies"])
def test_core_imports_are_installed_without_extras(part):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = project["dependencies"]
    graph = grimp.build_graph(part, include_external_packages=True, cache_dir=None)
    modules = {name for name in graph.modules if graph.is_module_squashed(name)}
    own_packages = {"isthmus", "components", "policies", "stacks", "sandbox", "edge", "trainer"}
    foreign = modules - set(sys.stdlib_module_names) - own_packages
    assert len(foreign) > 1, "nothing was looked at"
    missing = {FROM.get(name, name) for name in foreign} - {requirement_name(line) for line in core}
    for package, extra in WITH_EXTRA.items():
        stated = {requirement_name(line) for line in project["optional-dependencies"][extra]}
        for name in stated & missing:
            if all(
                importer.startswith(f"{package}.")
                for importer in graph.find_modules_that_directly_import(name)
            ):
                missing.remove(name)
    for program, lock in ELSEWHERE.items():
        locked = {requirement_name(line) for line in (ROOT / lock).read_text().splitlines() if "==" in line}
        beside = {file.stem for file in PARTS}
        for name in set(missing):
            known = name.replace("_", "-") in locked or name in beside
            if known and set(graph.find_modules_that_directly_import(name)) == {program}:
                missing.remove(name)
    assert not missing, f"only in an extra, or nowhere: {sorted(missing)}"


def test_no_file_names_a_package_registry_host():
    hosts = (
        "files.pythonhosted" + ".org",
        "pypi" + ".org/simple",
        "proxy.golang" + ".org",
        "registry.npmjs" + ".org",
    )
    texts = {path: path.read_text(errors="ignore") for path in tracked() if path.stat().st_size < 2_000_000}
    mentions = [
        f"{path.relative_to(ROOT)}: {host}" for path, text in texts.items() for host in hosts if host in text
    ]
    assert not mentions, mentions


def test_every_test_file_is_one_that_the_runner_collects():
    hidden = [
        str(path.relative_to(ROOT))
        for path in tracked("tests/*.py", "tests/**/*.py")
        if not path.name.startswith("test_") and re.search(r"^\s*(async )?def test_", path.read_text(), re.M)
    ]
    assert not hidden, f"never collected: {hidden}"


@pytest.mark.parametrize(
    "folder", ["stacks", "components", "edge", "sandbox", "policies", "trainer", "bench"]
)
def test_no_module_of_a_runnable_folder_hides_one_of_python(folder):
    names = {path.stem for path in (ROOT / folder).glob("*.py")} | {
        path.name for path in (ROOT / folder).glob("*/") if path.is_dir()
    }
    hiding = sorted(names & set(sys.stdlib_module_names) - {"__main__"})
    assert not hiding, f"{folder}/ would hide Python's own {hiding} from its programs"


def test_ci_runs_the_readmes_test_command_and_nothing_cleverer():
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]
    assert "make test" in (ROOT / "README.md").read_text()


def test_every_relative_link_of_the_docs_leads_somewhere():
    broken = []
    for page in [ROOT / "README.md", *tracked("docs/*.md", "blueprints/*/README.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, broken
