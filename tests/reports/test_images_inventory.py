"""What must be mirrored: all that the rendered pods pull, and the charts of what the stack's objects need."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from ruamel.yaml import YAML

from isthmus.contracts import images_lock
from isthmus.contracts.platform.model.platform import Images
from isthmus.reports.images import inventory as images_inventory
from isthmus.reports.images import mirror_lists
from isthmus.reports.images.inventory import Inventory
from tests.blueprints import bank
from tests.contracts.bank import DIGEST

LOCK = images_lock.load(bank.LOCK)
WEIGHTS = f"registry.bank.example/models/qwen3-32b@{DIGEST}"
OTHER = f"registry.bank.example/tools/probe@{DIGEST}"


@dataclass(frozen=True)
class Thing:
    """A resource as a report looks at it."""

    type: str
    name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    made: bool = True

    @property
    def urn(self) -> str:
        return self.name


def pods(name: str, spec: dict[str, Any], kind: str = "apps/v1:Deployment") -> Thing:
    meta = {"name": name, "namespace": "isthmus-internal"}
    template = {"metadata": {}, "spec": spec}
    inner = (
        {"leaderWorkerTemplate": {"workerTemplate": template}}
        if "LeaderWorker" in kind
        else {"template": template}
    )
    return Thing(f"kubernetes:{kind}", name, {"metadata": meta, "spec": inner})


@pytest.fixture
def banks() -> Inventory:
    return images_inventory.list_images(bank.rendered().resources, LOCK, bank.platform().images)


def test_every_image_that_a_rendered_manifest_names_is_listed(banks: Inventory):
    text = json.dumps(
        [resource.inputs for resource in bank.rendered().resources if resource.type.startswith("kubernetes:")]
    )
    named_images = {part.split('"')[0] for part in text.split('"image": "')[1:]}
    platform = bank.platform().images
    listed = {getattr(platform, image.name) for image in banks.images}
    assert named_images == listed
    assert len(named_images) == 9


def test_each_image_lists_its_users(banks: Inventory):
    users = {image.name: image.used_by for image in banks.images}
    assert "isthmus-internal/internal-translator" in users["credential_helper"]
    assert f"isthmus-restricted/{bank.serving('transaction-narratives').id}" in users["vllm"]
    # Restricted work is translated by nobody; sealer and loader have what speaks to the store from the same image.
    assert [user for user in users["translator"] if "restricted" in user] == [
        "isthmus-restricted-loader/restricted-loader",
        "isthmus-restricted-sealer/restricted-sealer",
    ]


def test_a_chart_is_listed_for_what_the_stack_has_of_it(banks: Inventory):
    assert [chart.name for chart in banks.charts] == ["cert-manager", "gpu-operator", "kueue"]
    assert banks.charts[1].used_by == ("pods that ask for nvidia.com/gpu",)
    several = pods("large", {"containers": [{"image": OTHER}]}, "leaderworkerset.x-k8s.io/v1:LeaderWorkerSet")
    inventory = images_inventory.list_images([several], LOCK, bank.platform().images)
    assert [chart.name for chart in inventory.charts] == ["lws"]
    assert [image.target for image in inventory.images] == [OTHER], "a worker's pod pulls too"


def test_weights_that_are_an_image_and_what_the_lock_does_not_know_are_not_left_out():
    spec = {
        "containers": [{"image": OTHER}],
        "volumes": [{"name": "weights", "image": {"reference": WEIGHTS}}, {"name": "tmp", "emptyDir": {}}],
    }
    inventory = images_inventory.list_images([pods("large", spec)], LOCK, bank.platform().images)
    assert [(image.name, image.source, image.digest) for image in inventory.images] == [
        ("other", OTHER, DIGEST),
        ("weights", WEIGHTS, DIGEST),
    ]
    assert inventory.unresolved == {}


def test_read_only_and_aws_resources_pull_no_images():
    spec = {"containers": [{"image": OTHER}]}
    read = pods("read", spec)
    resources = [
        Thing(read.type, read.name, read.inputs, made=False),
        Thing("aws:ecs/service:Service", "aws", read.inputs),
    ]
    assert images_inventory.list_images(resources, LOCK, bank.platform().images) == Inventory([], [])


def test_an_image_that_the_overrides_give_has_no_upstream_but_the_locks_own_digest():
    images = bank.platform().images
    lock = LOCK.with_digests({"edge": images.edge[-71:]}, {})
    inventory = images_inventory.list_images(bank.rendered().resources, lock, images)
    upstreams = {image.name: image.upstream for image in inventory.images}
    assert upstreams["edge"] == LOCK.images["edge"].reference
    assert upstreams["translator"] is None


def test_unresolved_images_are_named(banks: Inventory):
    assert set(banks.unresolved) == {
        "vllm",
        "credential_helper",
        "resolver",
        "chat",
        "sign_on",
        "cert-manager",
        "gpu-operator",
        "kueue",
    }
    lock = LOCK.with_digests(dict.fromkeys(images_lock.IMAGES, DIGEST), dict.fromkeys(LOCK.charts, DIGEST))
    after = banks.with_digests(lock, bank.platform().images)
    assert after.unresolved == {}
    vllm = next(image for image in after.images if image.name == "vllm")
    assert vllm.target == f"registry.bank.example/vllm/vllm-openai@{DIGEST}"
    assert vllm.source == f"docker.io/vllm/vllm-openai@{DIGEST}"
    assert banks.with_digests(LOCK, bank.platform().images) == banks


def documents(text: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def test_haulers_file_has_a_document_of_images_and_one_of_charts(banks: Inventory):
    images, charts = documents(mirror_lists.hauler_manifest(banks, LOCK, "bank-dev"))
    assert {document["apiVersion"] for document in (images, charts)} == {"content.hauler.cattle.io/v1"}
    assert images["kind"] == "Images"
    assert [image["name"] for image in images["spec"]["images"]] == sorted(
        {image.source for image in banks.images}
    )
    assert charts["spec"]["charts"][0] == {
        "name": "cert-manager",
        "repoURL": "oci://quay.io/jetstack/charts",
        "version": LOCK.charts["cert-manager"].version,
    }


def test_zarfs_file_keeps_the_operators_apart_from_what_must_be_deployed(banks: Inventory):
    [package] = documents(mirror_lists.zarf_package(banks, LOCK, "bank-dev"))
    assert (package["kind"], package["apiVersion"]) == ("ZarfPackageConfig", "zarf.dev/v1alpha1")
    first, second = package["components"]
    assert first["required"] is True
    assert first["images"] == sorted({image.source for image in banks.images})
    assert second["required"] is False
    urls = {chart["name"]: chart["url"] for chart in second["charts"]}
    assert urls["kueue"] == "oci://registry.k8s.io/kueue/charts/kueue"
    assert urls["gpu-operator"] == "https://helm.ngc.nvidia.com/nvidia"


def test_a_stack_without_charts_or_images_has_no_empty_documents():
    none = Inventory([], [])
    assert mirror_lists.hauler_manifest(none, LOCK, "x") == ""
    [package] = documents(mirror_lists.zarf_package(none, LOCK, "x"))
    assert [component["name"] for component in package["components"]] == ["images"]


def test_the_images_contract_has_a_field_for_each_locked_image():
    assert set(images_lock.IMAGES) <= set(Images.model_fields)
