"""Images from the lock: rewritten to the organisation's registry, below what the overrides give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus import blueprints
from isthmus.blueprints import image_digests
from isthmus.contracts import images_lock
from isthmus.core.errors import InputError, Refused
from tests.blueprints import bank
from tests.contracts.bank import DIGEST

OWN = f"registry.bank.example/own/vllm@{DIGEST}"


@pytest.fixture
def resolved(tmp_path: Path) -> Path:
    """The project's lock with a digest for each image."""
    lock = images_lock.load(bank.LOCK)
    file = tmp_path / images_lock.FILE
    file.write_text(images_lock.text(lock.with_digests(dict.fromkeys(images_lock.IMAGES, DIGEST), {})))
    return file


def images(images_given: dict[str, Any], lock: Path = bank.LOCK, *, sandbox: bool = False) -> Any:
    overrides = {**bank.overrides(), "images": images_given}
    return blueprints.platform(bank.STACKS, bank.STACK, overrides, sandbox=sandbox, lock=lock).images


def test_every_image_of_the_lock_is_taken_from_the_organisations_registry(resolved: Path):
    images_found = images({"registry": "registry.bank.example:5000/llm/"}, resolved)
    assert images_found.vllm == f"registry.bank.example:5000/llm/vllm/vllm-openai@{DIGEST}"
    assert images_found.edge == f"registry.bank.example:5000/llm/isthmus/edge@{DIGEST}"
    assert images_found.registries == ["registry.bank.example:5000/llm/"], (
        "admission lets in the mirror and no other"
    )


def test_a_reference_in_the_overrides_has_precedence_over_the_lock(resolved: Path):
    images_found = images({"registry": "registry.bank.example", "vllm": OWN}, resolved)
    assert images_found.vllm == OWN
    assert images_found.edge == f"registry.bank.example/isthmus/edge@{DIGEST}"


def test_overrides_that_pin_every_image_need_no_lock(tmp_path: Path):
    images_given = {
        **{name: f"registry.bank.example/{name}@{DIGEST}" for name in images_lock.IMAGES},
        "registries": ["registry.bank.example/"],
    }
    assert images(images_given, tmp_path / "none.yaml").model_dump(exclude_defaults=True) == images_given


def test_outside_the_sandbox_each_image_without_a_digest_is_named_with_a_fix():
    with pytest.raises(InputError) as caught:
        images({"registry": "registry.bank.example", "vllm": OWN})
    message = str(caught.value)
    assert "edge (localhost/isthmus/edge:" in message
    assert "credential_helper (public.ecr.aws/" in message
    assert "vllm" not in message, "it is given"
    assert f"isthmus images {bank.STACK} --resolve" in message


def test_in_the_sandbox_an_unresolved_image_has_a_placeholder_digest():
    first = images({"registry": "registry.bank.example"}, sandbox=True)
    again = images({"registry": "registry.bank.example"}, sandbox=True)
    assert first == again
    assert len({first.edge[-64:], first.vllm[-64:], first.translator[-64:]}) == 3


def test_a_platform_without_an_aws_identity_needs_no_translator(tmp_path: Path):
    lock = images_lock.load(bank.LOCK).with_digests({"edge": DIGEST, "vllm": DIGEST}, {})
    (tmp_path / images_lock.FILE).write_text(images_lock.text(lock))
    merged = {"images": {"registry": "registry.bank.example"}, "identities": []}
    filled = image_digests.fill(merged, tmp_path / images_lock.FILE, "sovereign", sandbox=False)["images"]
    assert set(filled) == {"registry", "registries", "edge", "vllm"}


def test_admission_refuses_images_outside_the_named_registries(resolved: Path):
    images_given = {"registry": "registry.bank.example", "registries": ["registry.bank.example/llm/"]}
    with pytest.raises(Refused, match="is not from an allowed registry"):
        images(images_given, resolved)


def test_a_missing_lock_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"images\.lock\.yaml: there is no such file"):
        images({"registry": "registry.bank.example"}, tmp_path / images_lock.FILE)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [({"engine": "cpu"}, "vllm_cpu"), ({"weights": {"uri": "s3://models/llama"}}, "translator")],
)
def test_only_images_of_endpoints_are_needed(endpoint: dict[str, Any], name: str) -> None:
    assert name in image_digests.needed_images({"endpoints": [endpoint]})
    assert name not in image_digests.needed_images(
        {"endpoints": [{"engine": "gpu", "weights": {"uri": "pvc://llama"}}]}
    )


def test_the_lock_needs_an_image_for_cpus_only_if_an_endpoint_runs_on_them(tmp_path: Path) -> None:
    lock = images_lock.load(bank.LOCK)
    images = {key: value for key, value in lock.images.items() if key != "vllm_cpu"}
    file = tmp_path / images_lock.FILE
    file.write_text(images_lock.text(lock.model_copy(update={"images": images})))
    fields: dict[str, Any] = {"images": {"registry": "registry.example"}, "endpoints": [{"engine": "gpu"}]}
    assert "vllm_cpu" not in image_digests.fill(fields, file, "dev", sandbox=True)["images"]
    fields["endpoints"] = [{"engine": "cpu"}]
    with pytest.raises(InputError, match="the lock has no image vllm_cpu"):
        image_digests.fill(fields, file, "dev", sandbox=True)
