"""Comparison of two renderings: certain changes are reported, uncertain ones are marked as such."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview import replacements
from isthmus.engine.render import files as render_files
from isthmus.engine.render.recorder import Resource
from isthmus.engine.render.rendering import Rendered
from scripts import aws_replaces
from tests.blueprints.bank import rendered

HEAD = "urn:pulumi:s::p"


def resource(type_: str, inputs: dict[str, Any], name: str = "it", **options: Any) -> Resource:
    return Resource(
        f"{HEAD}::{type_}::{name}", type_, name, True, None, f"{HEAD}::provider", inputs, [], {}, options
    )


def change(type_: str, old: dict[str, Any], new: dict[str, Any], **options: Any) -> Any:
    (change_found,) = preview_comparison.compare(
        [resource(type_, old, **options)], [resource(type_, new, **options)]
    )
    return change_found


def test_a_rendering_compared_with_itself_has_no_changes():
    resources = rendered().resources
    assert preview_comparison.compare(resources, resources) == []
    assert preview_comparison.count_unchanged(resources, resources, []) == sum(
        resource.made for resource in resources
    )


def test_a_graph_file_is_read_back_without_loss():
    graph_json = render_files.build_files(Rendered(rendered().resources, {}), {})["graph.json"]
    assert preview_comparison.resources_from_json(json.loads(graph_json)) == rendered().resources


def test_added_and_removed_resources_are_compared():
    key = "aws:kms/key:Key"
    compare = preview_comparison.compare(
        [resource(key, {}, "old", retainOnDelete=True)], [resource(key, {"a": 1}, "new")]
    )
    assert [
        (change_found.op, change_found.name, change_found.stateful, change_found.retained)
        for change_found in compare
    ] == [
        ("delete", "old", True, True),
        ("create", "new", True, False),
    ]


@pytest.mark.parametrize(
    ("type_", "old", "new", "because"),
    [
        ("kubernetes:apps/v1:Deployment", {"spec": {"selector": 1}}, {"spec": {"selector": 2}}, "spec.selector"),
        ("kubernetes:core/v1:Service", {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}, "metadata.name"),
        ("kubernetes:batch/v1:Job", {"spec": {"template": 1}}, {"spec": {"template": 2}}, "spec.template"),
        ("kubernetes:core/v1:ConfigMap", {"data": {"a.b": "1"}}, {"data": {"a.b": "2"}}, 'data["a.b"]'),
        ("aws:kms/key:Key", {"multiRegion": False}, {"multiRegion": True}, "multiRegion"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, "cidrBlock"),
    ],
)  # fmt: skip
def test_properties_that_cannot_change_in_place_replace_the_resource(
    type_: str, old: Any, new: Any, because: str
):
    change_found = change(type_, old, new)
    assert (change_found.op, change_found.replaces_because, change_found.may_replace) == (
        "replace",
        [because],
        [],
    )


@pytest.mark.parametrize(
    ("type_", "old", "new"),
    [
        ("kubernetes:apps/v1:Deployment", {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}),
        ("kubernetes:core/v1:ConfigMapPatch", {"data": {"a": "1"}}, {"data": {"a": "2"}}),
        ("aws:kms/key:Key", {"description": "a"}, {"description": "b"}),
    ],
)
def test_properties_that_allow_it_are_updated_in_place(type_: str, old: Any, new: Any):
    change_found = change(type_, old, new)
    assert (change_found.op, change_found.replaces_because, change_found.may_replace) == ("update", [], [])


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("aws:nobody/knows:It", "size"),
        ("aws:kms/key:Key", "inventedYesterday"),
        ("kubernetes:apps/v1:DaemonSet", "spec.selector"),
        ("azure:x/y:Z", "size"),
    ],
)
def test_an_unknown_property_may_replace_the_resource(type_: str, path: str):
    assert replacements.forced_replacements(type_, [path]) == replacements.Forced([], [path])
    change_found = change(
        type_,
        {"inventedYesterday": 1, "spec": {"selector": 1}, "size": 1},
        {"size": 2, "spec": {"selector": 2}},
    )
    assert (change_found.op, bool(change_found.may_replace)) == ("update", True)


def test_replace_and_ignore_options_affect_the_comparison():
    kind = "kubernetes:apps/v1:Deployment"
    old, new = {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}
    assert change(kind, old, new, replaceOnChanges=["spec.replicas"]).op == "replace"
    ignored = [resource(kind, inputs, ignoreChanges=["spec.replicas"]) for inputs in (old, new)]
    assert preview_comparison.compare(ignored[:1], ignored[1:]) == []


def test_an_object_that_is_only_read_is_never_reported_as_changed():
    kind = "kubernetes:nvidia.com/v1:ClusterPolicy"
    assert (
        preview_comparison.compare([resource(kind, {"a": 1}, read="x")], [resource(kind, {"a": 2}, read="x")])
        == []
    )
    (change_found,) = preview_comparison.compare(
        [resource(kind, {"a": 1})], [resource(kind, {"a": 1}, read="x")]
    )
    assert change_found.op == "read", "it is theirs from now on"


def test_another_provider_replaces_the_resource():
    before = resource("aws:kms/key:Key", {})
    (change_found,) = preview_comparison.compare([before], [replace(before, provider=f"{HEAD}::other")])
    assert (change_found.op, change_found.replaces_because) == ("replace", ["provider"])


def test_the_aws_type_table_equals_that_of_the_sandbox():
    assert aws_replaces.FILE.read_text() == aws_replaces.text(), "run `python -m scripts.aws_replaces`"


@pytest.mark.parametrize(
    ("type_", "path", "noise"),
    [
        ("aws:s3/bucket:Bucket", "tags.isthmus-platform", True),
        ("aws:s3/bucket:Bucket", 'tags["isthmus.dev/class"]', False),
        ("aws:s3/bucket:Bucket", "tags.Owner", False),
        ("kubernetes:apps/v1:Deployment", 'spec.template.metadata.annotations["checksum/config"]', True),
        ("kubernetes:apps/v1:Deployment", 'metadata.labels["isthmus.dev/class"]', False),
        ("kubernetes:apps/v1:Deployment", "spec.template.spec.containers[0].image", False),
        ("kubernetes:x/v1:Y", "spec.tags", False),
    ],
)
def test_only_platform_tags_and_checksums_count_as_noise(type_: str, path: str, noise: bool):
    from isthmus.engine.preview.noise import is_noise as judged

    assert judged(type_, path) is noise
