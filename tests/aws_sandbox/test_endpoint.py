"""The endpoint as a process: started, asked, ended."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox.aws
from isthmus.core.errors import EnvironmentFault, InputError
from sandbox.aws.endpoint import make_server

ROOT = Path(sandbox.aws.__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws.endpoint", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    process = start("--port", "0", "--account", "424242424242")
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def client(url: str, service: str, region: str = "eu-central-1") -> Any:
    import boto3

    return boto3.client(
        service, endpoint_url=url, region_name=region, aws_access_key_id="x", aws_secret_access_key="x"
    )


def test_it_says_that_it_is_well_and_what_it_simulates(running: str) -> None:
    health = get(f"{running}/isthmus/health")
    assert health["status"] == "ok"
    assert health["simulated"] == sandbox.aws.simulated()
    assert health["simulated"][0]["by"].startswith("moto ")


def test_what_moto_has_too_is_not_said_to_be_lacking() -> None:
    from moto.sts.responses import TokenResponse

    assert hasattr(TokenResponse, "assume_role")
    (ours,) = [entry for entry in sandbox.aws.simulated() if entry["what"].startswith("sts: ")]
    assert "AssumeRole" in ours["what"]
    assert ours["note"] == "moto has none, or answers otherwise than AWS"


def test_the_account_is_the_one_named(running: str) -> None:
    assert client(running, "sts").get_caller_identity()["Account"] == "424242424242"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly_on_a_signal(number: int) -> None:
    process = start("--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    client(url, "s3").list_buckets()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "10.0.0.1"])  # noqa: S104 - refused
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(InputError, match="loopback"):
        make_server(host, 0)


def test_a_taken_port_is_said_in_one_paragraph() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = start("--port", str(port))
        out, err = process.communicate(timeout=20)
        assert process.returncode == EnvironmentFault.exit_code
        assert out == ""
        assert f"127.0.0.1:{port}" in err
        assert "Traceback" not in err


def test_it_answers_within_seconds_of_its_start() -> None:
    begun = time.monotonic()
    process = start("--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    get(f"{url}/isthmus/health")
    took = time.monotonic() - begun
    process.kill()
    process.communicate()
    assert took < 20, "it loads too much before it listens"


# -- what is served beside moto


def test_a_profile_says_to_which_regions_it_may_route(running: str) -> None:
    profile = client(running, "bedrock").get_inference_profile(
        inferenceProfileIdentifier="eu.anthropic.claude-haiku-4-5-20251001-v1:0"
    )
    regions = {model["modelArn"].split(":")[3] for model in profile["models"]}
    assert regions == {
        "eu-central-1",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-3",
    }
    assert profile["inferenceProfileArn"].startswith("arn:aws:bedrock:eu-central-1:424242424242:")


def test_a_profile_is_found_by_its_arn_too(running: str) -> None:
    bedrock = client(running, "bedrock")
    arn = bedrock.list_inference_profiles()["inferenceProfileSummaries"][0]["inferenceProfileArn"]
    assert bedrock.get_inference_profile(inferenceProfileIdentifier=arn)["inferenceProfileArn"] == arn


def test_a_profile_of_another_geography_does_not_exist_here(running: str) -> None:
    bedrock = client(running, "bedrock")
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_inference_profile(inferenceProfileIdentifier="us.amazon.nova-lite-v1:0")
    ids = [
        inference_profile["inferenceProfileId"]
        for inference_profile in bedrock.list_inference_profiles()["inferenceProfileSummaries"]
    ]
    assert ids
    assert all(id.startswith("eu.") for id in ids)


def test_the_list_comes_in_pages(running: str) -> None:
    bedrock = client(running, "bedrock")
    pages = list(bedrock.get_paginator("list_inference_profiles").paginate(PaginationConfig={"PageSize": 2}))
    actual = [
        inference_profile["inferenceProfileId"]
        for page in pages
        for inference_profile in page["inferenceProfileSummaries"]
    ]
    assert len(pages) > 1
    whole = bedrock.list_inference_profiles()["inferenceProfileSummaries"]
    assert actual == [inference_profile["inferenceProfileId"] for inference_profile in whole]


@pytest.mark.parametrize("wrong", [{"typeEquals": "NONE"}, {"maxResults": 100_000}])
def test_a_request_that_the_model_forbids_is_refused(running: str, wrong: dict[str, Any]) -> None:
    bedrock = client(running, "bedrock")
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.list_inference_profiles(**wrong)


def test_what_moto_has_goes_on_to_moto(running: str) -> None:
    assert client(running, "bedrock").list_custom_models()["modelSummaries"] == []


def test_a_log_group_of_moto_s_gets_and_loses_a_key(running: str) -> None:
    logs = client(running, "logs")
    logs.create_log_group(logGroupName="keyed")
    logs.associate_kms_key(logGroupName="keyed", kmsKeyId="arn:aws:kms:eu-central-1:424242424242:key/k")
    [group] = logs.describe_log_groups(logGroupNamePrefix="keyed")["logGroups"]
    assert group["kmsKeyId"].endswith("key/k")
    logs.disassociate_kms_key(logGroupName="keyed")
    assert "kmsKeyId" not in logs.describe_log_groups(logGroupNamePrefix="keyed")["logGroups"][0]
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.associate_kms_key(logGroupName="none", kmsKeyId="k")
