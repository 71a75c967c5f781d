"""What the recorder captures of a Pulumi program."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest

from isthmus.core.errors import InputError
from isthmus.engine.project import project
from isthmus.engine.render import files as render_files
from isthmus.engine.render.rendering import record_program, render, without_garbage_collection


@pytest.fixture
def stack(tmp_path: Path) -> project.Stack:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {till:key: {secure: v1xyz}, till:list: [1, 2]}\n")
    return project.find_project(tmp_path).stack("dev")


class Shop(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None):
        super().__init__("shop:index:Shop", name, {}, opts)


def test_urns_contain_the_types_of_all_parents(stack):
    import pulumi_kubernetes as k8s

    def program():
        outer = Shop("outer")
        inner = Shop("inner", pulumi.ResourceOptions(parent=outer))
        k8s.core.v1.ConfigMap("settings", data={"a": "1"}, opts=pulumi.ResourceOptions(parent=inner))

    resources = record_program(program, stack).resources
    assert "urn:pulumi:dev::shop::shop:index:Shop$shop:index:Shop$kubernetes:core/v1:ConfigMap::settings" in {
        resource.urn for resource in resources
    }


def test_a_resource_in_place_of_a_text_is_its_id(stack):
    import pulumi_kubernetes as k8s

    def program():
        imported = pulumi.CustomResource(
            "random:index/randomString:RandomString", "ns", {}, pulumi.ResourceOptions(import_="vault")
        )
        new = pulumi.CustomResource("random:index/randomString:RandomString", "new", {})
        k8s.core.v1.ConfigMap("a", metadata={"namespace": imported, "name": new})  # pyright: ignore

    [config] = [one for one in record_program(program, stack).resources if one.name == "a"]
    assert config.inputs["metadata"]["namespace"] == "vault"
    assert config.inputs["metadata"]["name"] == "${new.id}"


def test_a_list_that_only_the_cloud_knows_has_a_placeholder(stack):
    import pulumi_aws as aws

    def program():
        endpoint = aws.ec2.VpcEndpoint("s3", vpc_id="vpc-1", service_name="s3")
        aws.ec2.SecurityGroupRule(
            "out",
            type="egress",
            protocol="tcp",
            from_port=443,
            to_port=443,
            security_group_id="sg-1",
            cidr_blocks=endpoint.cidr_blocks,
        )

    [rule] = [one for one in record_program(program, stack).resources if one.name == "out"]
    assert rule.inputs["cidrBlocks"] == ["${s3.cidrBlocks}"]


def test_an_output_of_a_provider_without_its_sdk_does_not_vanish(stack):
    import pulumi_aws as aws

    class Shuffle(pulumi.CustomResource):
        results: pulumi.Output[list[str]]

        def __init__(self, name: str):
            super().__init__(
                "random:index/randomShuffle:RandomShuffle", name, {"inputs": [], "results": None}
            )

    def program():
        aws.ec2.SecurityGroupRule(
            "in",
            type="ingress",
            protocol="tcp",
            from_port=443,
            to_port=443,
            security_group_id="sg-1",
            cidr_blocks=Shuffle("ranges").results,
        )

    [rule] = [one for one in record_program(program, stack).resources if one.name == "in"]
    assert rule.inputs["cidrBlocks"] == ["${ranges.results}"]
    assert [urn.rpartition("::")[2] for urn in rule.property_dependencies["cidrBlocks"]] == ["ranges"]


def test_names_of_component_and_stack_outputs_are_recorded(stack):
    import pulumi_kubernetes as k8s

    def program():
        shop = Shop("shop")
        service = k8s.core.v1.Service("till", spec={"ports": []}, opts=pulumi.ResourceOptions(parent=shop))
        shop.register_outputs({"address": service.spec.cluster_ip, "open": True})
        pulumi.export("word", "x")

    assert {"address", "open"} <= record_program(program, stack).said


def test_a_secret_is_masked_everywhere_in_a_recording(stack):
    import pulumi_kubernetes as k8s

    def program():
        secret = pulumi.Output.secret("hunter2")
        k8s.core.v1.ConfigMap("settings", data={"a": secret, "b": "open"})
        pulumi.export("word", secret)
        pulumi.export("sentence", pulumi.Output.concat("it is ", secret))

    rendered = record_program(program, stack)
    text = json.dumps(render_files.build_files(rendered, {}))
    assert "hunter2" not in text
    assert rendered.outputs == {"word": "[secret]", "sentence": "[secret]"}


def test_placeholder_arns_can_be_split_by_a_program(stack):
    import pulumi_aws as aws

    def program():
        bucket = aws.s3.Bucket("records")
        pulumi.export("service", bucket.arn.apply(lambda arn: arn.split(":")[2]))
        pulumi.export("policy", pulumi.Output.json_dumps({"Resource": bucket.arn}))

    outputs = record_program(program, stack).outputs
    assert outputs["service"] == "s3"
    assert json.loads(outputs["policy"])["Resource"].endswith("${records.arn}")


def test_options_and_configuration_are_recorded(stack):
    import pulumi_kubernetes as k8s

    def program():
        config = pulumi.Config("till")
        assert config.require("key") == "[secret]"
        assert config.require_object("list") == [1, 2]
        opts = pulumi.ResourceOptions(
            protect=True,
            retain_on_delete=True,
            ignore_changes=["data"],
            custom_timeouts=pulumi.CustomTimeouts(create="5m"),
        )
        k8s.core.v1.ConfigMap("settings", data={"a": "1"}, opts=opts)

    (resource,) = [
        resource for resource in record_program(program, stack).resources if resource.name == "settings"
    ]
    assert resource.options == {
        "protect": True,
        "retainOnDelete": True,
        "ignoreChanges": ["data"],
        "customTimeouts": {"create": "5m"},
    }


def test_a_failed_program_does_not_affect_the_next_one(stack):
    import pulumi_aws as aws

    def too_long(text: str) -> str:
        raise LookupError(f"too long: {text}")

    @pulumi.runtime.test
    def fails():
        """As under the SDK's own mocks, which leave the error of a resource where they found it."""
        from isthmus.engine.render.recorder import Placeholders

        pulumi.runtime.set_mocks(Placeholders())
        for name in ("one", "two", "three"):
            aws.s3.Bucket(name, bucket=pulumi.Output.from_input(name).apply(too_long))

    with pytest.raises(LookupError, match="too long"):
        fails()
    resources = record_program(lambda: aws.s3.Bucket("records"), stack).resources
    assert [resource.name for resource in resources if resource.type == "aws:s3/bucket:Bucket"] == ["records"]


def test_changes_by_one_program_do_not_affect_the_next(stack):
    import pulumi_aws as aws

    from stacks.tagging import tag_everything

    def tagged():
        tag_everything("shop", "other")
        aws.s3.Bucket("records")

    (with_tags,), (without,) = (
        [
            resource.inputs
            for resource in record_program(program, stack).resources
            if resource.name == "records"
        ]
        for program in (tagged, lambda: aws.s3.Bucket("records"))
    )
    assert with_tags["tags"]["isthmus-stack"] == "shop/other"
    assert "tags" not in without


@pytest.mark.parametrize("whose", ["stack", "resource"])
def test_transforms_are_refused(stack, whose: str):
    def program() -> None:
        import pulumi_kubernetes as k8s

        def transform(args: Any) -> Any:
            return pulumi.ResourceTransformResult(args.props, args.opts)

        if whose == "stack":
            pulumi.runtime.register_resource_transform(transform)
        opts = pulumi.ResourceOptions(transforms=[transform]) if whose == "resource" else None
        k8s.core.v1.Namespace("space", metadata={"name": "space"}, opts=opts)

    with pytest.raises(InputError, match="has transforms, which only the engine runs"):
        record_program(program, stack)


def test_an_alias_that_names_a_resource_of_a_component_is_recorded(stack):
    from pulumi_kubernetes.core.v1 import ConfigMap

    guard = "urn:pulumi:dev::shop::isthmus:index:ClassNamespace$kubernetes:core/v1:ConfigMap::guard"
    parent = guard.replace("$kubernetes:core/v1:ConfigMap::guard", "::space")

    def program():
        ConfigMap("by-urn", data={}, opts=pulumi.ResourceOptions(aliases=[guard]))
        ConfigMap(
            "by-parts", data={}, opts=pulumi.ResourceOptions(aliases=[pulumi.Alias("guard", parent=parent)])
        )
        ConfigMap("own", data={}, opts=pulumi.ResourceOptions(aliases=[pulumi.Alias("earlier")]))

    options = {resource.name: resource.options for resource in record_program(program, stack).resources}
    assert options["by-urn"]["aliases"] == [guard]
    assert options["by-parts"]["aliases"] == [f"{parent}::guard"]
    assert "aliases" not in options["own"]


def test_two_resources_with_one_urn_are_refused(stack):
    def program():
        Shop("same")
        Shop("same")

    with pytest.raises(ValueError, match="two resources"):
        record_program(program, stack)


def test_an_exception_of_the_program_is_raised_unchanged(stack):
    def program():
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        record_program(program, stack)


@pytest.mark.parametrize("loaded", [True, False])
def test_rendering_a_project_leaves_none_of_its_modules_imported(stack, monkeypatch, loaded):
    """What comes after it in this process may be of another project, and this one's folder may be gone."""
    import stacks

    if not loaded:
        monkeypatch.delitem(sys.modules, "stacks")
    folder = stack.project.root / "stacks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "program.py").write_text(
        "import pulumi\n\ndef program():\n    pulumi.export('whose', 'shop')\n"
    )
    assert render(stack).outputs == {"whose": "shop"}
    assert sys.modules.get("stacks") is (stacks if loaded else None)
    assert "stacks.program" not in sys.modules or str(folder) not in str(
        sys.modules["stacks.program"].__file__
    )


def test_garbage_collection_is_off_only_while_a_program_runs():
    with without_garbage_collection():
        within = gc.isenabled()
    assert (within, gc.isenabled()) == (False, True)


def test_a_manifest_omits_fields_that_another_manager_owns(stack):
    """A controller that applies the folder again and again would set it back."""
    import pulumi_kubernetes as k8s

    spec: Any = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {}}

    def program():
        k8s.apps.v1.Deployment(
            "shop",
            metadata={"name": "shop"},
            spec=spec,
            opts=pulumi.ResourceOptions(ignore_changes=["spec.replicas"]),
        )

    files = render_files.build_files(record_program(program, stack), {})
    (manifest,) = [text for path, text in files.items() if "deployment-shop" in path]
    assert "replicas" not in manifest
    assert "matchLabels" in manifest


def test_two_resources_that_would_be_one_file_are_named_as_wrong_input(stack):
    def program():
        from pulumi_kubernetes.core.v1 import ConfigMap

        for name in ("one", "two"):
            ConfigMap(name, metadata={"name": "settings", "namespace": "team"}, data={"a": name})

    with pytest.raises(InputError, match=r"two resources would be written to .*::one and .*::two.* Fix: "):
        render_files.build_files(record_program(program, stack), {})
