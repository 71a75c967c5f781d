"""The chart of a managed GPU Operator: the lock's from the organisation's registry or the one given, and pinned."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from isthmus import blueprints
from isthmus.contracts import images_lock
from isthmus.contracts.platform.model.pools import GpuOperatorRelease
from isthmus.core.errors import InputError, Refused
from tests.blueprints import bank
from tests.contracts.bank import DIGEST

REGISTRY = "registry.bank.example/llm"


@pytest.fixture
def resolved(tmp_path: Path) -> Path:
    """The project's lock with a digest for each image and for the chart."""
    lock = images_lock.load(bank.LOCK)
    digests = lock.with_digests(dict.fromkeys(images_lock.IMAGES, DIGEST), {"gpu-operator": DIGEST})
    file = tmp_path / images_lock.FILE
    file.write_text(images_lock.text(digests))
    return file


def release(
    lock: Path,
    release_given: dict[str, Any] | None = None,
    *,
    registry: str | None = REGISTRY,
    sandbox: bool = False,
    stacks: Path = bank.STACKS,
) -> GpuOperatorRelease:
    overrides = bank.overrides()
    overrides["images"] = (
        {"registry": registry}
        if registry
        else {
            **{name: f"elsewhere.example/{name}@{DIGEST}" for name in images_lock.IMAGES},
            "registries": ["elsewhere.example/"],
        }
    )
    overrides["operators"] = {
        "gpu_operator": "manage",
        **({"gpu_operator_release": release_given} if release_given else {}),
    }
    platform = blueprints.platform(stacks, bank.STACK, overrides, sandbox=sandbox, lock=lock)
    return platform.operators.gpu_operator_release


def test_the_locks_chart_is_taken_from_the_organisations_registry_by_its_digest(resolved: Path):
    release_found = release(resolved)
    version = images_lock.load(resolved).charts["gpu-operator"].version
    assert (release_found.chart, release_found.version, release_found.digest) == (
        f"oci://{REGISTRY}/charts/gpu-operator",
        version,
        DIGEST,
    )


def test_a_given_chart_overrides_the_lock(resolved: Path):
    release_found = release(resolved, {"version": "v26.8.0", "driver": "host"})
    assert (release_found.version, release_found.driver) == ("v26.8.0", "host")


def test_a_chart_without_a_digest_is_for_a_sandbox_only(resolved: Path):
    lock = images_lock.load(resolved)
    charts = {**lock.charts, "gpu-operator": lock.charts["gpu-operator"].model_copy(update={"digest": None})}
    resolved.write_text(images_lock.text(lock.model_copy(update={"charts": charts})))
    with pytest.raises(InputError, match="these have no digest"):
        release(resolved)
    assert release(resolved, sandbox=True).digest is None
    release_given = {"chart": "oci://elsewhere.example/gpu-operator", "version": "v26.7.0"}
    with pytest.raises(InputError, match="has no digest"):
        release(resolved, release_given)


def test_a_managed_operator_without_a_chart_is_an_error(resolved: Path):
    with pytest.raises(InputError, match="but has no chart for it"):
        release(resolved, registry=None)


def test_a_packed_chart_must_have_the_pinned_digest(resolved: Path, tmp_path: Path):
    stacks = tmp_path / "stacks"
    shutil.copytree(bank.STACKS, stacks)
    release_given = {"chart": "gpu-operator.tgz", "digest": f"sha256:{hashlib.sha256(b'chart').hexdigest()}"}
    with pytest.raises(InputError, match="tgz does not exist"):
        release(resolved, release_given, stacks=stacks)
    (stacks / "gpu-operator.tgz").write_bytes(b"another")
    with pytest.raises(Refused, match="is pinned"):
        release(resolved, release_given, stacks=stacks)
    (stacks / "gpu-operator.tgz").write_bytes(b"chart")
    assert release(resolved, release_given, stacks=stacks).chart == "gpu-operator.tgz"
