"""The Go modules: pinned, checked by sums, and shared versions where two of them meet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sandbox.toolchain import table

ROOT = Path(__file__).resolve().parents[2]
COMPILED = [tool for tool in table.TOOLS if tool.package]


def requirements(tool: table.Tool) -> dict[str, str]:
    text = (tool.module / "go.mod").read_text()
    return dict(re.findall(r"^(?:require )?\s*([\w./\-]+\.[\w./\-]+) (v\S+)", text, re.M))


@pytest.mark.parametrize("tool", COMPILED, ids=lambda tool: tool.name)
def test_a_module_is_committed_whole(tool):
    retained = subprocess.run(
        ["git", "ls-files", "--", str(tool.module)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if retained.returncode == 0 and retained.stdout:
        names = {Path(line).name for line in retained.stdout.splitlines()}
        assert {"go.mod", "go.sum"} <= names
    for name in ("go.mod", "go.sum"):
        assert (tool.module / name).read_text().strip()


@pytest.mark.parametrize("tool", COMPILED, ids=lambda tool: tool.name)
def test_every_required_module_has_its_sum(tool):
    sums = (tool.module / "go.sum").read_text()
    replaced = set(
        re.findall(r"^(?:replace )?\s*(\S+)(?: v\S+)? => ", (tool.module / "go.mod").read_text(), re.M)
    )
    for module, version in requirements(tool).items():
        if module not in replaced:
            assert f"{module} {version}/go.mod h1:" in sums, f"{module} {version} is not in go.sum"


def test_the_three_large_builds_share_the_versions_of_what_they_share():
    engine, cluster, provider = map(requirements, (table.ENGINE, table.CLUSTER, table.PROVIDER))
    for module in (
        "google.golang.org/grpc",
        "google.golang.org/protobuf",
        "go.opentelemetry.io/otel",
        "golang.org/x/net",
        "golang.org/x/crypto",
    ):
        versions = {engine[module], cluster[module], provider[module]}
        assert len(versions) == 1, f"{module} is compiled {len(versions)} times: {versions}"


@pytest.mark.parametrize("tool", COMPILED, ids=lambda tool: tool.name)
def test_the_tables_version_is_the_modules(tool):
    expected = {
        "engine": ("github.com/pulumi/pulumi/pkg/v3", f"v{table.PULUMI}"),
        "cluster": ("k8s.io/kubernetes", f"v{table.KUBERNETES}"),
        "language-yaml": ("github.com/pulumi/pulumi-yaml", f"v{table.YAML}"),
        "signing-helper": ("github.com/aws/rolesanywhere-credential-helper", f"v{table.SIGNING_HELPER}"),
        "load-generator": ("github.com/tsenart/vegeta/v12", f"v{table.VEGETA}"),
        "sign-on-proxy": ("github.com/oauth2-proxy/oauth2-proxy/v7", f"v{table.OAUTH2_PROXY}"),
        "alertmanager": ("github.com/prometheus/alertmanager", f"v{table.ALERTMANAGER_VERSION}"),
        "registry": ("github.com/distribution/distribution/v3", f"v{table.REGISTRY}"),
        "kubernetes-provider": ("github.com/pulumi/pulumi-kubernetes/provider/v4", None),
    }[tool.name]
    actual = requirements(tool)[expected[0]]
    assert actual == expected[1] if expected[1] else actual.endswith(tool.version.rpartition("-")[2])


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(tool, marks=() if tool.name == "engine" else pytest.mark.soak, id=tool.name)
        for tool in COMPILED
        if tool.wanted
    ],
)
def test_go_accepts_a_module_as_it_is_committed(tool):
    """What `go build -mod=readonly` checks first; needs go, and the sources (in its module cache after an install)."""
    done = subprocess.run(
        ["go", "list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", str(tool.package)],
        cwd=tool.module,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 500
