"""The component package as the real engine sees it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import components

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("pulumi", "pulumi-language-python")


def test_the_engine_reads_the_packages_schema(toolchain: dict[str, Path], tmp_path: Path) -> None:
    folders = [str(toolchain[name].parent) for name in NEEDED]
    run = subprocess.run(
        ["pulumi", "--non-interactive", "package", "get-schema", str(ROOT / "components")],
        cwd=tmp_path,
        env={
            "PATH": os.pathsep.join([*folders, "/usr/bin", "/bin"]),
            "HOME": str(tmp_path),
            "PULUMI_HOME": str(tmp_path / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    schema = json.loads(run.stdout)
    assert schema["name"] == "isthmus"
    described = {
        token.rsplit(":", 1)[-1]: resource["description"] for token, resource in schema["resources"].items()
    }
    assert "GPU nodes" in described["GpuPool"]
    assert set(described) == set(components.__all__) - {"LlmPlatform"}, "LlmPlatform spans sites: Python only"
