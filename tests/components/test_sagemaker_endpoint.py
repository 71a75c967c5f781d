"""An endpoint on SageMaker: a test for each setting that changes its shape."""

import json
from typing import Any

import pytest

from components import SageMakerEndpoint
from components.aws.sagemaker.endpoint import endpoint_name
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from tests.components.conftest import ACCOUNT, Engine

DIGEST = "sha256:" + "a" * 64
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm/vllm:0.33@{DIGEST}"
GIVEN: dict[str, Any] = {
    "id": "qwen",
    "sensitivity": "confidential",
    "model": "Qwen/Qwen3-8B",
    "region": "eu-central-1",
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-a", "subnet-b"],
    "image": IMAGE,
    "weights": {"uri": "s3://weights/qwen/", "digest": DIGEST},
    "instance_type": "ml.g6e.2xlarge",
    "replicas": 2,
}
SHADOW = {"model": "Qwen/Qwen3-14B", "uri": "s3://weights/other/", "digest": DIGEST, "sampling_pct": 5}


def make(engine: Engine, **more: Any) -> None:
    engine.deploy(SageMakerEndpoint, "bank-qwen", {**GIVEN, **more})


def statements(engine: Engine) -> dict[str, dict[str, Any]]:
    policy = json.loads(engine.only("RolePolicy").inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def variables(engine: Engine, model: str = "bank-qwen-model") -> dict[str, str]:
    return engine.only("Model", model).inputs["primaryContainer"]["environment"]


def config(engine: Engine) -> dict[str, Any]:
    return engine.only("EndpointConfiguration").inputs


def deployment(engine: Engine) -> dict[str, Any]:
    return engine.only("Endpoint").inputs["deploymentConfig"]


def test_the_model_is_isolated_in_the_vpc_and_its_weights_are_loose_files(engine: Engine) -> None:
    make(engine)
    model = engine.only("Model").inputs
    assert model["enableNetworkIsolation"] is True
    assert model["vpcConfig"] == {
        "securityGroupIds": ["bank-qwen-group-id"],
        "subnets": ["subnet-a", "subnet-b"],
    }
    source = model["primaryContainer"]["modelDataSource"]["s3DataSources"]
    assert source == [{"s3DataType": "S3Prefix", "s3Uri": "s3://weights/qwen/", "compressionType": "None"}]
    assert "name" not in model, "a name of ours would have the old model deleted before the new one"
    assert "name" not in config(engine)


def test_nothing_comes_in_and_out_to_s3_alone(engine: Engine) -> None:
    make(engine)
    rule = engine.only("SecurityGroupEgressRule").inputs
    assert (rule["prefixListId"], rule["toPort"]) == ("pl-com.amazonaws.eu-central-1.s3", 443)
    assert not engine.all("SecurityGroupIngressRule")


def test_the_container_gets_vllm_arguments_as_variables(engine: Engine) -> None:
    make(
        engine,
        tensor_parallel=2,
        precision="fp8",
        max_model_len=8192,
        gpu_memory_utilization=0.9,
        engine_args=["--enforce-eager", "--seed=7"],
    )
    environment = variables(engine)
    assert environment["SM_VLLM_MODEL"] == "/opt/ml/model"
    assert environment["SM_VLLM_SERVED_MODEL_NAME"] == "Qwen/Qwen3-8B"
    assert (environment["SM_VLLM_TENSOR_PARALLEL_SIZE"], environment["SM_VLLM_QUANTIZATION"]) == ("2", "fp8")
    assert (environment["SM_VLLM_MAX_MODEL_LEN"], environment["SM_VLLM_GPU_MEMORY_UTILIZATION"]) == (
        "8192",
        "0.9",
    )
    assert (environment["SM_VLLM_ENFORCE_EAGER"], environment["SM_VLLM_SEED"]) == ("", "7")
    assert environment["ISTHMUS_WEIGHTS_DIGEST"] == DIGEST, (
        "other weights in the same folder would not be rolled out"
    )


@pytest.mark.parametrize("argument", ["--seed", "7", "--seed=1\n2", f"--seed={'1' * 1025}"])
def test_an_argument_without_a_variable_is_refused(engine: Engine, argument: str) -> None:
    engine_args = ["--seed=1", argument] if argument == "--seed" else [argument]
    with pytest.raises(InputError, match=r"set twice|cannot be passed"):
        make(engine, engine_args=engine_args)


def test_the_role_reads_these_weights_and_this_image_and_assumes_nothing(engine: Engine) -> None:
    make(engine)
    by_sid = statements(engine)
    assert by_sid["ReadWeights"]["Resource"] == ["arn:aws:s3:::weights/qwen/*"]
    assert by_sid["ListWeights"]["Resource"] == ["arn:aws:s3:::weights"]
    assert by_sid["ListWeights"]["Condition"] == {"StringLike": {"s3:prefix": ["qwen/*"]}}
    assert by_sid["PullImage"]["Resource"] == ["arn:aws:ecr:eu-central-1:123456789012:repository/llm/vllm"]
    assert by_sid["JoinTheNetwork"]["Resource"] == [
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:network-interface/*",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:subnet/subnet-a",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:subnet/subnet-b",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:security-group/bank-qwen-group-id",
    ]
    assert {"Capture", "OpenAndSeal"} & set(by_sid) == set()
    open_ = {sid for sid, statement in by_sid.items() if statement["Resource"] == ["*"]}
    assert open_ == {"Login", "Measure", "LookAtTheNetwork"}, "calls that know no resource"
    role = engine.only("Role").inputs
    trust = json.loads(role["assumeRolePolicy"])["Statement"]
    assert [statement["Principal"] for statement in trust] == [{"Service": "sagemaker.amazonaws.com"}]
    assert trust[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert role["permissionsBoundary"] == "arn:aws:iam/policy:::bank-qwen-execution-boundary"


def test_the_boundary_of_the_organisation_replaces_the_default(engine: Engine) -> None:
    make(engine, permissions_boundary="arn:aws:iam::123456789012:policy/llm")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::123456789012:policy/llm"
    assert not engine.all("Policy")


@pytest.mark.parametrize(("kind", "sealed"), [("ml.g6e.2xlarge", False), ("ml.p3.2xlarge", True)])
def test_volumes_are_under_our_key_where_aws_takes_one(engine: Engine, kind: str, sealed: bool) -> None:
    make(engine, instance_type=kind)
    assert ("kmsKeyArn" in config(engine)) is sealed
    assert engine.only("LogGroup").inputs["kmsKeyId"] == "arn:aws:kms/key:::bank-qwen-key"
    assert not engine.only("Key").retained


def test_a_key_that_exists_is_used_and_none_is_made(engine: Engine) -> None:
    arn = "arn:aws:kms:eu-central-1:123456789012:key/own"
    make(engine, key={"mode": "existing", "arn": arn})
    assert engine.only("LogGroup").inputs["kmsKeyId"] == arn
    assert not engine.all("Key")


def test_the_log_group_exists_before_sagemaker_creates_one(engine: Engine) -> None:
    make(engine, log_days=100)
    group = engine.only("LogGroup")
    assert group.inputs["name"] == f"/aws/sagemaker/Endpoints/{engine.only('Endpoint').inputs['name']}"
    assert group.inputs["retentionInDays"] == 120
    assert "bank-qwen-log" in engine.only("EndpointConfiguration").depends_on


def test_variants_start_within_what_they_are_given(engine: Engine) -> None:
    make(engine, load_timeout_s=900, inference_ami="al2-ami-sagemaker-inference-gpu-3-1")
    (variant,) = config(engine)["productionVariants"]
    assert variant["modelDataDownloadTimeoutInSeconds"] == 900
    assert variant["containerStartupHealthCheckTimeoutInSeconds"] == 900
    assert variant["inferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-3-1"
    assert (variant["variantName"], variant["initialInstanceCount"]) == ("primary", 2)


def test_a_volume_has_the_size_that_is_asked_for(engine: Engine) -> None:
    make(engine, instance_type="ml.p3.2xlarge", volume_gib=200)
    assert config(engine)["productionVariants"][0]["volumeSizeInGb"] == 200


def test_a_shadow_has_its_own_model_and_its_part_of_the_calls(engine: Engine) -> None:
    make(engine, shadow={**SHADOW, "instance_type": "ml.g6e.4xlarge", "instances": 2})
    (shadow,) = config(engine)["shadowProductionVariants"]
    assert (shadow["variantName"], shadow["initialVariantWeight"]) == ("shadow", 0.05)
    assert (shadow["instanceType"], shadow["initialInstanceCount"]) == ("ml.g6e.4xlarge", 2)
    assert shadow["modelName"] == "bank-qwen-shadow-0a1b2c3"
    assert variables(engine, "bank-qwen-shadow")["SM_VLLM_SERVED_MODEL_NAME"] == "Qwen/Qwen3-8B", (
        "a copied call names the served model"
    )
    assert statements(engine)["ReadWeights"]["Resource"] == [
        "arn:aws:s3:::weights/other/*",
        "arn:aws:s3:::weights/qwen/*",
    ]


def test_captured_data_is_encrypted_expired_and_retained(engine: Engine) -> None:
    make(engine, capture={"sampling_pct": 10, "days": 30})
    capture = config(engine)["dataCaptureConfig"]
    assert (capture["enableCapture"], capture["initialSamplingPercentage"]) == (True, 10)
    assert capture["kmsKeyId"] == "arn:aws:kms/key:::bank-qwen-key"
    (rule,) = engine.only("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": 30}
    kinds = {resource.kind for resource in engine.made if resource.retained}
    assert kinds == {
        *("Key", "Bucket", "BucketPolicy", "BucketLifecycleConfiguration", "BucketOwnershipControls"),
        *("BucketServerSideEncryptionConfiguration", "BucketPublicAccessBlock"),
    }
    assert engine.outputs["retained"] == [
        "arn:aws:s3/bucket:::bank-qwen-captured",
        "arn:aws:kms/key:::bank-qwen-key",
    ]
    name = engine.only("Endpoint").inputs["name"]
    assert statements(engine)["Capture"]["Resource"] == [f"arn:aws:s3/bucket:::bank-qwen-captured/{name}/*"]


def test_a_bucket_that_exists_takes_what_is_captured(engine: Engine) -> None:
    make(engine, capture={"sampling_pct": 10, "days": 30, "bucket": "captured"})
    uri = config(engine)["dataCaptureConfig"]["destinationS3Uri"]
    assert uri == f"s3://captured/{engine.only('Endpoint').inputs['name']}/"
    assert not engine.all("Bucket")
    assert engine.outputs["retained"] == []


def test_two_alarms_take_a_deployment_back(engine: Engine) -> None:
    make(engine, rollback={"errors": 3, "latency_p95_ms": 800, "minutes": 3})
    errors, latency = sorted(engine.all("MetricAlarm"), key=lambda alarm: alarm.name)
    assert (errors.inputs["metricName"], errors.inputs["threshold"]) == ("Invocation5XXErrors", 3)
    assert (latency.inputs["extendedStatistic"], latency.inputs["threshold"]) == ("p95", 800_000)
    assert {alarm.inputs["evaluationPeriods"] for alarm in (errors, latency)} == {3}
    names = [alarm["alarmName"] for alarm in deployment(engine)["autoRollbackConfiguration"]["alarms"]]
    assert names == [errors.inputs["name"], latency.inputs["name"]]


@pytest.mark.parametrize(
    ("kind", "type_", "size"),
    [
        ("canary", "CANARY", "canarySize"),
        ("linear", "LINEAR", "linearStepSize"),
        ("all-at-once", "ALL_AT_ONCE", ""),
    ],
)
def test_calls_move_by_the_stated_share(engine: Engine, kind: str, type_: str, size: str) -> None:
    make(engine, rollout={"kind": kind, "step_pct": 20, "wait_s": 240, "keep_old_s": 600}, load_timeout_s=600)
    policy = deployment(engine)["blueGreenUpdatePolicy"]
    routing = policy["trafficRoutingConfiguration"]
    assert routing["type"] == type_
    assert routing["waitIntervalInSeconds"] == (240 if size else 0)
    assert {key for key in routing if "ize" in key} == ({size} if size else set())
    if size:
        assert routing[size] == {"type": "CAPACITY_PERCENT", "value": 20}
    assert policy["terminationWaitInSeconds"] == 600
    steps = {"canary": 2, "linear": 5, "all-at-once": 1}[kind]
    assert policy["maximumExecutionTimeoutInSeconds"] == 2 * 600 + steps * 240 + 600 + 600


def test_instances_scale_with_the_load_if_stated(engine: Engine) -> None:
    make(engine)
    assert not engine.all("Target")
    fresh_engine = Engine()
    make(
        fresh_engine,
        autoscaling={"min_instances": 2, "max_instances": 6, "calls_per_minute": 120, "scale_in_s": 900},
    )
    target, policy = fresh_engine.only("Target").inputs, fresh_engine.only("Policy", "bank-qwen-load").inputs
    assert target["resourceId"] == f"endpoint/{fresh_engine.only('Endpoint').inputs['name']}/variant/primary"
    assert (target["minCapacity"], target["maxCapacity"]) == (2, 6)
    tracking = policy["targetTrackingScalingPolicyConfiguration"]
    assert (tracking["targetValue"], tracking["scaleInCooldown"], tracking["scaleOutCooldown"]) == (
        120,
        900,
        120,
    )


def test_no_setting_changes_the_endpoints_name(engine: Engine) -> None:
    make(engine)
    fresh_engine = Engine()
    make(fresh_engine, instance_type="ml.g6e.4xlarge", replicas=5, shadow=SHADOW)
    assert engine.only("Endpoint").inputs["name"] == fresh_engine.only("Endpoint").inputs["name"]


def test_a_rolled_back_deployment_is_an_error() -> None:
    from components.aws.sagemaker.endpoint import _check_moved

    assert _check_moved("new", "new", "endpoints.qwen") == "new"
    with pytest.raises(EnvironmentFault, match="old still serves, not new"):
        _check_moved("old", "new", "endpoints.qwen")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sensitivity": "restricted"}, "class restricted may not use sagemaker"),
        ({"key": {"mode": "off"}}, "needs a key of the organisation"),
        ({"sensitivity": "internal", "capture": {"sampling_pct": 1, "days": 1}}, "would be kept"),
        ({"capture": {"sampling_pct": 1, "days": 31}}, "would be kept for 31 days"),
    ],
)
def test_a_setting_that_breaks_a_boundary_is_refused(engine: Engine, wrong: Any, message: str) -> None:
    with pytest.raises(Refused, match=message):
        make(engine, **wrong)
    assert not engine.made


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": {"uri": "s3://weights/qwen", "digest": DIGEST}}, "is not a folder in S3"),
        ({"key": {"mode": "existing"}}, "has no arn"),
        ({"key": {"mode": "manag"}}, "is not known"),
        ({"load_timeout_s": 7200}, "waits at most 3600 s"),
        ({"rollout": {"kind": "rolling"}}, "is not known"),
        ({"engine_version": "0.1.0"}, "vLLM 0.1.0 is not supported"),
        ({"precision": "nvfp4"}, "cannot be served in nvfp4"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(engine: Engine, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(engine, **wrong)
    assert not engine.made


def test_a_name_is_within_what_aws_takes() -> None:
    assert len(endpoint_name("b" * 80)) == 63


def test_tools_and_reasoning_are_read_as_the_models_family_needs(engine: Engine) -> None:
    make(engine)
    environment = variables(engine)
    assert (environment["SM_VLLM_ENABLE_AUTO_TOOL_CHOICE"], environment["SM_VLLM_TOOL_CALL_PARSER"]) == (
        "",
        "hermes",
    )
    assert environment["SM_VLLM_REASONING_PARSER"] == "qwen3"


def test_a_stated_parser_is_given_once_and_no_template_of_another_image_is_named(engine: Engine) -> None:
    make(engine, model="deepseek-ai/DeepSeek-R1", engine_args=["--tool-call-parser=deepseek_v31"])
    environment = variables(engine)
    assert environment["SM_VLLM_TOOL_CALL_PARSER"] == "deepseek_v31"
    assert "SM_VLLM_CHAT_TEMPLATE" not in environment, (
        "an image of AWS's may not have it, and would not start"
    )
