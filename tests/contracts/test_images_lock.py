"""The image lock: the committed file is complete and current, and an error in a lock is reported with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts import images_lock
from isthmus.contracts.platform.model.platform import Images
from isthmus.contracts.reference import vllm_flags
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from tests.contracts.bank import DIGEST

FILE = Path(__file__).parents[2] / images_lock.FILE


def test_the_committed_lock_equals_the_output_of_a_resolve_without_changes():
    assert images_lock.text(images_lock.load(FILE)) == FILE.read_text("utf-8")


def test_the_lock_has_exactly_the_images_that_the_platform_names():
    assert set(images_lock.IMAGES) == set(Images.model_fields) - {
        *(
            "registry",
            "registries",
            "pull_secret",
            "pull_secrets",
        ),  # From Amazon ECR alone: no mirror of ours can give it.
        "sagemaker",
    }


def test_the_locked_vllm_has_the_version_whose_flags_are_known():
    assert images_lock.load(FILE).images["vllm"].upstream.tag == f"v{vllm_flags.VERSION}"


def test_resolving_digests_changes_only_the_named_images():
    before = images_lock.load(FILE)
    after = before.with_digests({"vllm": DIGEST}, {"kueue": DIGEST})
    assert [name for name, image in after.images.items() if image.digest] == ["vllm"]
    assert [name for name, chart in after.charts.items() if chart.digest] == ["kueue"]
    lines = set(images_lock.text(before).splitlines()) ^ set(images_lock.text(after).splitlines())
    assert lines == {f"    digest: {DIGEST}"}


def broken(tmp_path: Path, *keys: str, value: Any) -> str:
    data = yaml_files.load(FILE).data
    part = data
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    yaml_files.dump(data, "", tmp_path / "lock.yaml")
    with pytest.raises(InputError) as caught:
        images_lock.load(tmp_path / "lock.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (
            ("images", "vllm", "reference"),
            "vllm/vllm-openai:v1",
            "is not an image reference",
        ),
        (("images", "vllm", "reference"), f"docker.io/vllm/a:v1@{DIGEST}", "is not a reference by tag"),
        (("images", "vllm", "reference"), "docker.io/vllm/vllm-openai", "is not a reference by tag"),
        (("images", "vllm", "digest"), "sha256:12", "`sha256:` and 64 hexadecimal digits"),
        (("images", "vlm"), {"purpose": "x", "reference": "docker.io/a/b:1"}, "vlm"),
        (
            ("images", "vllm", "reference"),
            "ghcr.io/isthmus/edge:1",
            "would have the same name",
        ),
        (("charts", "kueue", "repository"), "http://charts.example", "a repository of charts like"),
        (
            ("charts", "kueue", "repository"),
            "oci://kueue",
            "is not an image reference",
        ),
        (("charts", "kueue", "version"), "latest", "a chart's version like"),
    ],
)
def test_an_error_in_the_lock_is_reported_with_file_line_and_path(
    tmp_path: Path, keys: tuple[str, ...], value: Any, message: str
):
    output = broken(tmp_path, *keys, value=value)
    assert message in output
    assert "lock.yaml:" in output
    assert keys[1] in output


def test_a_lock_without_an_image_is_refused_with_its_name(tmp_path: Path):
    data = yaml_files.load(FILE).data
    del data["images"]["edge"]
    yaml_files.dump(data, "", tmp_path / "lock.yaml")
    with pytest.raises(InputError, match="`images` lacks edge"):
        images_lock.load(tmp_path / "lock.yaml")


def test_a_chart_version_becomes_a_tag_with_an_underscore_for_its_plus_sign():
    chart = images_lock.load(FILE).charts["kueue"].model_copy(update={"version": "1.2.3+build.4"})
    assert str(chart.upstream("kueue")) == "registry.k8s.io/kueue/charts/kueue:1.2.3_build.4"
    assert images_lock.load(FILE).charts["gpu-operator"].upstream("gpu-operator") is None


def test_writing_digests_keeps_the_source_of_a_version(tmp_path: Path):
    lock = images_lock.load(FILE)
    source = lock.images["credential_helper"].source
    assert source
    assert "looked up 20" in source
    after = lock.with_digests({"credential_helper": f"sha256:{'a' * 64}"}, {})
    (tmp_path / images_lock.FILE).write_text(images_lock.text(after))
    assert images_lock.load(tmp_path / images_lock.FILE).images["credential_helper"].source == source


def test_every_image_of_the_lock_names_the_source_of_its_tag():
    lock = images_lock.load(FILE)
    assert [name for name, image in lock.images.items() if not image.source] == []
