"""The AWS site of a stack with a model on SageMaker, through the real engine and the sandbox's plugin: up,
unchanged, taken back, changed, down. The whole stack with its cluster is `test_sagemaker_up`, for `make soak`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from tests.aws_sandbox.stack import Stack, endpoint, kinds
from tests.hosted import DIGESTS, HOSTED, platform
from tests.hosted import endpoint as hosted_of

pytestmark = pytest.mark.sandbox

OTHER = {"uri": "s3://insurer-weights/qwen3-8b-2/", "digest": DIGESTS[4]}


@pytest.fixture
def stack(toolchain: Any, tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        yield Stack(tmp_path, url)


def site(weights: dict[str, str] | None = None) -> Callable[[], None]:
    """A program that makes the site, with the example's weights or with others."""

    def program() -> None:
        import pulumi

        from components.sites.aws import AwsSite
        from stacks import providers

        data = platform()
        if weights is not None:
            hosted_of(data)["weights"] = weights
        checked = CheckedPlatform.model_validate(data)
        place = next(site for site in checked.sites if site.kind == "aws")
        provider = providers.aws(place, {"isthmus-platform": "hosted"}, sandbox=True)

        def at(name: str, after: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(providers=[provider], depends_on=after or [])

        new_aws_site = AwsSite("hosted", checked, place, at)
        side = new_aws_site.cloud_sides["confidential-frankfurt"]
        pulumi.export("name", side.hosted[HOSTED])
        pulumi.export("url", side.hosted_url)
        lists = pulumi.Output.all(*new_aws_site.retained, *new_aws_site.records)
        pulumi.export("retained", lists.apply(lambda many: [one for each in many for one in each]))

    return program


def alarms(stack: Stack, state: str) -> None:
    """Both alarms of the endpoint, set by hand: nothing is measured here."""
    watch = stack.boto("cloudwatch")
    names = [
        metric_alarm
        for metric_alarm in watch.describe_alarms()["MetricAlarms"]
        if metric_alarm["Namespace"] == "AWS/SageMaker"
    ]
    assert len(names) == 2
    for alarm in names:
        watch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="a test")


def test_a_site_goes_up_is_taken_back_moves_over_and_goes_and_what_serves_is_never_deleted(
    stack: Stack,
) -> None:
    import pulumi.automation as auto

    stack.own(site())
    stack.up()
    outputs, sagemaker = stack.outputs(), stack.boto("sagemaker")
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}
    before = sagemaker.describe_endpoint(EndpointName=outputs["name"])
    private = {
        service["ServiceName"]: service
        for service in stack.boto("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    }
    runtime = private["com.amazonaws.eu-central-1.sagemaker.runtime"]
    assert outputs["url"].removeprefix("https://").startswith(runtime["VpcEndpointId"])
    assert before["EndpointArn"] in runtime["PolicyDocument"]

    # An alarm goes off while it is deployed: AWS takes it back, the run fails, and nothing that serves is deleted.
    alarms(stack, "ALARM")
    stack.own(site(OTHER))
    with pytest.raises(auto.CommandError, match="AWS has rolled the deployment back"):
        stack.up()
    assert (
        sagemaker.describe_endpoint(EndpointName=outputs["name"])["EndpointConfigName"]
        == before["EndpointConfigName"]
    )
    kept = sagemaker.describe_endpoint_config(EndpointConfigName=before["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=kept["ProductionVariants"][0]["ModelName"])
    source = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert source["S3Uri"] == "s3://insurer-weights/qwen3-8b/"

    # The same once more, with the alarm over: the same endpoint, on other weights, and the old ones are gone.
    alarms(stack, "OK")
    changes = kinds(stack.up().summary.resource_changes)
    assert changes.get("update") == 1, changes
    after = sagemaker.describe_endpoint(EndpointName=outputs["name"])
    assert after["CreationTime"] == before["CreationTime"], "the endpoint was made anew"
    (config,) = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert config["EndpointConfigName"] == after["EndpointConfigName"] != before["EndpointConfigName"]
    assert len(sagemaker.list_models()["Models"]) == 2, "the served one and the shadow"
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    retained = stack.outputs()["retained"]
    stack.stack.destroy()
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    scaling = stack.boto("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert stack.boto("iam").list_roles()["Roles"] == []
    assert stack.boto("iam").list_policies(Scope="Local")["Policies"] == []
    assert stack.boto("cloudwatch").describe_alarms()["MetricAlarms"] == []
    (bucket,) = stack.boto("s3").list_buckets()["Buckets"]
    assert f"arn:aws:s3:::{bucket['Name']}" in retained
    groups = stack.boto("logs").describe_log_groups()["logGroups"]
    assert len(groups) == 2
    for group in groups:
        assert group["arn"].removesuffix(":*") in retained, (
            "flow log and query log, and no log of the containers"
        )
    for arn in (each for each in retained if ":kms:" in each):
        key = stack.boto("kms").describe_key(KeyId=arn.rpartition("/")[2])["KeyMetadata"]
        assert key["KeyState"] == "Enabled", "what is kept could not be read"
