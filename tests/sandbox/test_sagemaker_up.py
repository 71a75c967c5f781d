"""A stack with a model on SageMaker, from its requirements to its end: up, unchanged, taken back, changed, down.

The real engine and API server; AWS is the sandbox's. One stack, brought up once; the tests run in the order of
the file.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.core import yaml_files
from tests.accounting import aws
from tests.hosted import DIGESTS, OVERRIDES
from tests.laying import ROOT
from tests.sandbox.projects import Alone, standing

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]


class Hosted(Alone):
    """The example's stack in a project folder of its own, in a sandbox of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, home, "hosted")
        shutil.copy(ROOT / "examples" / "hosted.requirements.yaml", self.requirements)
        self.settle(OVERRIDES)
        self.begin("cologne")
        self.boto = aws.clients(self.env)
        plan = str(self.stacks / "hosted.plan.yaml")
        done = self.run(sys.executable, "-m", "isthmus", "plan", str(self.requirements), "-o", plan)
        assert done.returncode == 0, done.stderr[-2000:]

    @property
    def endpoint(self) -> dict[str, Any]:
        sagemaker = self.boto("sagemaker")
        (actual,) = sagemaker.list_endpoints()["Endpoints"]
        return sagemaker.describe_endpoint(EndpointName=actual["EndpointName"])

    def config(self, name: str) -> dict[str, Any]:
        return self.boto("sagemaker").describe_endpoint_config(EndpointConfigName=name)

    def alarm(self, state: str) -> None:
        (name,) = [
            metric_alarm["AlarmName"]
            for metric_alarm in self.boto("cloudwatch").describe_alarms()["MetricAlarms"]
            if metric_alarm["MetricName"] == "Invocation5XXErrors"
        ]
        self.boto("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


@pytest.fixture(scope="module")
def hosted(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with standing(Hosted, tmp_path_factory.mktemp("hosted")) as new_hosted:
        new_hosted.up()
        yield new_hosted


def test_the_model_is_isolated_in_the_network_that_carries_its_class(hosted: Hosted) -> None:
    config = hosted.config(hosted.endpoint["EndpointConfigName"])
    (variant,), (shadow,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.g6e.2xlarge", 3)
    assert shadow["InitialVariantWeight"] == 0.05
    assert "KmsKeyId" not in config, "AWS takes no key for machines with disks of their own"
    vpcs = {vpc["VpcId"] for vpc in hosted.boto("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]}
    for vpc_id in (variant, shadow):
        model = hosted.boto("sagemaker").describe_model(ModelName=vpc_id["ModelName"])
        assert model["EnableNetworkIsolation"] is True
        subnets = hosted.boto("ec2").describe_subnets(SubnetIds=model["VpcConfig"]["Subnets"])["Subnets"]
        assert {subnet["VpcId"] for subnet in subnets} == vpcs
        assert len({vpc["AvailabilityZone"] for vpc in subnets}) == 2, "a zone's loss would take all"
        (group,) = hosted.boto("ec2").describe_security_groups(
            GroupIds=model["VpcConfig"]["SecurityGroupIds"]
        )["SecurityGroups"]
        assert group["IpPermissions"] == []
        (rule,) = group["IpPermissionsEgress"]
        assert rule["IpRanges"] == []
        assert [prefix_list["PrefixListId"] for prefix_list in rule["PrefixListIds"]] != []


def test_what_is_captured_is_sealed_by_our_key_and_erased_in_time(hosted: Hosted) -> None:
    capture = hosted.config(hosted.endpoint["EndpointConfigName"])["DataCaptureConfig"]
    bucket = capture["DestinationS3Uri"].split("/")[2]
    s3 = hosted.boto("s3")
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"]["Days"] == 30
    sealed = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert sealed["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == capture["KmsKeyId"]
    name = hosted.endpoint["EndpointName"]
    (group,) = hosted.boto("logs").describe_log_groups(logGroupNamePrefix=f"/aws/sagemaker/Endpoints/{name}")[
        "logGroups"
    ]
    assert (group["kmsKeyId"], group["retentionInDays"]) == (capture["KmsKeyId"], 365)


def test_it_scales_between_two_and_six(hosted: Hosted) -> None:
    (target,) = hosted.boto("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    assert target["ResourceId"] == f"endpoint/{hosted.endpoint['EndpointName']}/variant/primary"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 6)


def test_its_translator_calls_it_by_the_private_endpoint(hosted: Hosted) -> None:
    namespace_path = "/api/v1/namespaces/isthmus-confidential/configmaps"
    (config,) = [
        manifest["data"]["config.yaml"]
        for manifest in hosted.cluster.get(namespace_path)["items"]
        if manifest["metadata"]["name"].startswith("confidential-translator-config")
    ]
    (model,) = yaml_files.loads(config, "config").data["models"]
    assert model["provider"] == "sagemaker"
    assert model["endpoint"] == hosted.endpoint["EndpointName"]
    assert model["model"] == "Qwen/Qwen3-8B"
    (private,) = [
        vpc_endpoint
        for vpc_endpoint in hosted.boto("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        if vpc_endpoint["ServiceName"].endswith(".sagemaker.runtime")
    ]
    assert model["endpoint_url"].removeprefix("https://").startswith(private["VpcEndpointId"])
    assert hosted.endpoint["EndpointArn"] in private["PolicyDocument"]


def test_a_second_up_finds_nothing_to_change(hosted: Hosted) -> None:
    hosted.unchanged()


def test_a_deployment_whose_alarm_goes_off_is_taken_back_and_what_serves_stays(hosted: Hosted) -> None:
    before = hosted.endpoint
    overrides = json.loads(json.dumps(OVERRIDES))
    overrides["endpoints"][1]["weights"] = {"uri": "s3://insurer-weights/qwen3-8b-2/", "digest": DIGESTS[4]}
    hosted.settle(overrides)
    hosted.alarm("ALARM")
    done = hosted.isthmus("up", "hosted", "--yes")
    assert done.returncode != 0
    assert "AWS has rolled the deployment back" in done.stderr + done.stdout
    assert hosted.endpoint["EndpointConfigName"] == before["EndpointConfigName"]
    served = hosted.config(before["EndpointConfigName"])["ProductionVariants"][0]["ModelName"]
    model = hosted.boto("sagemaker").describe_model(ModelName=served)
    source = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert source["S3Uri"] == "s3://insurer-weights/qwen3-8b/", "what serves was deleted"


def test_once_the_alarm_is_over_the_same_command_moves_the_same_endpoint(hosted: Hosted) -> None:
    before = hosted.endpoint
    hosted.alarm("OK")
    hosted.up()
    after = hosted.endpoint
    assert after["EndpointArn"] == before["EndpointArn"]
    assert after["CreationTime"] == before["CreationTime"], "the endpoint was made anew"
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    served = hosted.config(after["EndpointConfigName"])["ProductionVariants"][0]["ModelName"]
    model = hosted.boto("sagemaker").describe_model(ModelName=served)
    assert model["PrimaryContainer"]["Environment"]["ISTHMUS_WEIGHTS_DIGEST"] == DIGESTS[4]
    with pytest.raises(hosted.boto("sagemaker").exceptions.ClientError, match="Could not find"):
        hosted.config(before["EndpointConfigName"])
    hosted.unchanged()


def test_destroy_of_a_sandbox_leaves_nothing_of_the_endpoint_and_names_its_dying_key(hosted: Hosted) -> None:
    """A sandbox's platform is disposable: captures go with it. What a durable one keeps is test_lifecycle_up's."""
    capture = hosted.config(hosted.endpoint["EndpointConfigName"])["DataCaptureConfig"]
    output = hosted.must("destroy", "hosted", "--yes")
    assert capture["KmsKeyId"].rsplit("/")[-1] in output, "its key dies slowly, and that is not named"
    assert hosted.boto("s3").list_buckets()["Buckets"] == []
    assert hosted.boto("sagemaker").list_endpoints()["Endpoints"] == []
    scaling = hosted.boto("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert hosted.boto("iam").list_roles()["Roles"] == []
    assert hosted.boto("cloudwatch").describe_alarms()["MetricAlarms"] == []
    groups = [
        log_group["logGroupName"] for log_group in hosted.boto("logs").describe_log_groups()["logGroups"]
    ]
    assert not [group for group in groups if group.startswith("/aws/sagemaker")]
    assert hosted.held() == []
