"""What the provider does beside the plain life of a resource: its configuration and its refusals."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.struct_values import plain, struct
from tests.aws_sandbox.driver import REGION, Client, Refusal, World, document, trust

BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
ROLE = "aws:iam/role:Role"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
SOME, NONE = pb.DiffResponse.DIFF_SOME, pb.DiffResponse.DIFF_NONE


# -- where it speaks to


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-central-1.amazonaws.com",
        "http://192.168.1.4:4566",
        "http://127.0.0.1@example.org",
        "http://127.0.0.1.example.org:80",
        "http://localhost.example.org",
        "file:///etc/passwd",
        "http://0.0.0.0:4566",
    ],
)
def test_an_endpoint_on_another_machine_is_refused(bare: Client, url: str) -> None:
    with pytest.raises(Refusal, match="refuses the endpoint"):
        bare.configure(region=REGION, endpoints=[{"s3": url}])
    assert bare.check_config(region=REGION, endpoints=[{"s3": url}])[0][0] == "endpoints"


def test_an_endpoint_on_another_machine_is_refused_from_the_environment() -> None:
    client = Client({"AWS_ENDPOINT_URL": "https://example.org"})
    with pytest.raises(Refusal, match="refuses the endpoint"):
        client.configure(region=REGION)
    client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]"])
def test_this_machine_is_accepted_under_all_its_names(bare: Client, host: str) -> None:
    bare.configure(region=REGION, endpoints=[{"s3": f"http://{host}:4566"}])


def test_without_an_endpoint_it_refuses_to_work(bare: Client) -> None:
    with pytest.raises(Refusal, match="no endpoint"):
        bare.configure(region=REGION)


def test_a_service_without_an_endpoint_is_refused_when_it_is_used(bare: Client, world: World) -> None:
    bare.configure(region=REGION, endpoints=[{"s3": world.url}])
    with pytest.raises(Refusal, match="no endpoint for `kms`"):
        bare.create(KEY, {"description": "x"})


def test_the_environment_s_endpoint_serves_every_service(world: World) -> None:
    client = Client({"AWS_ENDPOINT_URL": world.url, "AWS_REGION": REGION})
    client.configure()
    assert client.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"] == "123456789012"
    assert client.create(KEY, {"description": "x"})[0]
    client.close()


def test_a_region_is_required(world: World) -> None:
    client = Client({"AWS_ENDPOINT_URL": world.url})
    with pytest.raises(Refusal, match="no region"):
        client.configure()
    client.close()


def test_an_unknown_setting_is_named_with_the_nearest(bare: Client) -> None:
    [(name, reason)] = bare.check_config(regoin=REGION)
    assert name == "regoin"
    assert "`region`" in reason


def test_settings_meant_for_the_real_aws_are_passed_over(bare: Client) -> None:
    assert not bare.check_config(
        region=REGION, skipCredentialsValidation=True, s3UsePathStyle=True, accessKey="x", secretKey="y"
    )


def test_only_an_allowed_account_is_worked_in(bare: Client, world: World) -> None:
    with pytest.raises(Refusal, match="123456789012"):
        bare.configure(region=REGION, endpoints=[{"sts": world.url}], allowedAccountIds=["999999999999"])


def test_secrets_in_the_configuration_are_unwrapped(bare: Client, world: World) -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": world.url}
    bare.configure(region=REGION, endpoints=[{"s3": secret}])
    assert bare.create(BUCKET, {"bucket": world.name("secret")})[0]


def test_another_port_is_the_same_provider_and_another_region_is_not(bare: Client) -> None:
    def diff(old: dict[str, Any], new: dict[str, Any]) -> pb.DiffResponse:
        request = pb.DiffRequest(olds=struct(old), old_inputs=struct(old), news=struct(new))
        return bare.stub.DiffConfig(request)

    old = {"region": REGION, "endpoints": '[{"s3":"http://127.0.0.1:1"}]'}
    moved = diff(old, {**old, "endpoints": '[{"s3":"http://127.0.0.1:2"}]'})
    assert (moved.changes, list(moved.replaces)) == (SOME, [])
    assert list(diff(old, {**old, "region": "us-east-1"}).replaces) == ["region"]
    assert diff(old, old).changes == NONE


def test_nothing_works_before_it_is_configured(bare: Client) -> None:
    with pytest.raises(Refusal, match="not configured"):
        bare.create(BUCKET, {})


# -- failures


def test_an_unknown_type_names_itself_and_the_list(client: Client) -> None:
    with pytest.raises(Refusal) as refusal:
        client.check("aws:s3/buket:Buket", {})
    text = str(refusal.value)
    assert "aws:s3/buket:Buket" in text
    assert "Did you mean `aws:s3/bucket:Bucket`?" in text
    assert "docs/sandbox-aws.md" in text


def test_botocore_s_model_refuses_what_aws_would(client: Client, world: World) -> None:
    with pytest.raises(Refusal) as refusal:
        client.create(LOGS, {"name": ""})
    assert LOGS in str(refusal.value)
    assert "logGroupName" in str(refusal.value)


def test_an_error_shows_no_value(client: Client) -> None:
    with pytest.raises(Refusal) as refusal:
        client.create(ROLE, {"name": "r", "assumeRolePolicy": 5, "path": {"secret": "hunter2"}})
    assert "hunter2" not in str(refusal.value)
    assert "Path" in str(refusal.value)


def test_what_exists_already_is_said_in_aws_s_words(client: Client, world: World) -> None:
    with pytest.raises(Refusal, match="EntityAlreadyExists"):
        client.create(ROLE, {"name": world.role(), "assumeRolePolicy": trust()})


def test_a_role_in_use_says_why_it_stays_and_can_be_forced(client: Client, world: World) -> None:
    inputs = client.checked(ROLE, {"name": world.name("r"), "assumeRolePolicy": trust()})
    id, state = client.create(ROLE, inputs)
    world.boto("iam").attach_role_policy(RoleName=id, PolicyArn=world.policy())
    with pytest.raises(Refusal, match="DeleteConflict"):
        client.delete(ROLE, id, state)
    client.delete(ROLE, id, {**state, "forceDetachPolicies": True})
    assert client.read(ROLE, id, state, inputs)[0] == ""


def test_a_bucket_with_objects_stays_unless_forced(client: Client, world: World) -> None:
    inputs = client.checked(BUCKET, {"bucket": world.name("full")})
    id, state = client.create(BUCKET, inputs)
    world.boto("s3").put_object(Bucket=id, Key="k", Body=b"x")
    with pytest.raises(Refusal, match="BucketNotEmpty"):
        client.delete(BUCKET, id, state)
    client.delete(BUCKET, id, {**state, "forceDestroy": True})
    assert client.read(BUCKET, id, state, inputs)[0] == ""


def test_a_log_group_that_is_to_stay_stays(client: Client, world: World) -> None:
    inputs = client.checked(LOGS, {"name": world.name("kept"), "skipDestroy": True})
    id, state = client.create(LOGS, inputs)
    client.delete(LOGS, id, state)
    assert client.read(LOGS, id, state, inputs)[0] == id


def test_a_policy_changes_more_often_than_aws_keeps_versions(client: Client, world: World) -> None:
    token = "aws:iam/policy:Policy"
    inputs = client.checked(token, {"name": world.name("p"), "policy": document("s3:0")})
    id, state = client.create(token, inputs)
    for number in range(1, 8):
        inputs = {**inputs, "policy": document(f"s3:{number}")}
        state = client.update(token, id, state, inputs)
    assert json.loads(state["policy"])["Statement"][0]["Action"] == ["s3:7"]
    assert len(world.boto("iam").list_policy_versions(PolicyArn=id)["Versions"]) <= 5
    client.delete(token, id, state)


def test_a_key_is_disabled_last_and_enabled_first(client: Client) -> None:
    inputs = client.checked(KEY, {"isEnabled": False, "enableKeyRotation": True})
    id, state = client.create(KEY, inputs)
    assert (state["isEnabled"], state["enableKeyRotation"]) == (False, True)
    after = client.update(KEY, id, state, {"isEnabled": True, "enableKeyRotation": False})
    assert (after["isEnabled"], after["enableKeyRotation"]) == (True, False)


def test_an_id_of_another_form_is_refused_at_import(client: Client) -> None:
    with pytest.raises(Refusal, match=r"\{role\}:\{name\}"):
        client.read("aws:iam/rolePolicy:RolePolicy", "no-colon")


def test_a_creation_that_fails_half_way_is_kept_with_its_id(client: Client, world: World) -> None:
    with pytest.raises(Refusal) as refusal:
        client.create(KEY, {"description": "half", "enableKeyRotation": True, "rotationPeriodInDays": 1})
    details = dict(refusal.value.__cause__.trailing_metadata())  # pyright: ignore
    from pulumi.runtime.proto import status_pb2

    status = status_pb2.Status.FromString(details["grpc-status-details-bin"])
    failed = pb.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert world.boto("kms").describe_key(KeyId=failed.id)["KeyMetadata"]["Description"] == "half"
    assert plain(failed.properties)["arn"]
    assert "enable_key_rotation" in failed.reasons[0]


class _Faulty:
    """Answers 503 a number of times, then hands on; remembers who signed."""

    def __init__(self, behind: Any, faults: int) -> None:
        self.behind, self.faults = behind, faults
        self.signed: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.signed.append(environ.get("HTTP_AUTHORIZATION", ""))
        if len(self.signed) <= self.faults:
            start_response("503 Slow Down", [("Content-Type", "text/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>"]
        return self.behind(environ, start_response)


@contextlib.contextmanager
def _faulty(faults: int) -> Iterator[tuple[str, _Faulty]]:
    from werkzeug.serving import make_server

    from sandbox.aws.endpoint import application

    app = _Faulty(application(), faults)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("faults", "works"), [(1, True), (50, False)])
def test_throttling_is_retried_within_bounds(bare: Client, faults: int, works: bool) -> None:
    with _faulty(faults) as (url, app):
        bare.configure(region=REGION, endpoints=[{"s3": url}], maxRetries=1)
        if works:
            assert bare.create(BUCKET, {"bucket": "patient"})[0] == "patient"
        else:
            with pytest.raises(Refusal, match="SlowDown"):
                bare.create(BUCKET, {"bucket": "patient"})
            assert len(app.signed) == 2


def test_the_user_s_own_credentials_profile_and_proxies_are_never_used(
    bare: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile production]\nregion = us-west-2\nendpoint_url = https://example.org\n"
        "aws_access_key_id = REALKEY\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REALKEY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with _faulty(0) as (url, app):
        bare.configure(region=REGION, endpoints=[{"s3": url}])
        assert bare.create(BUCKET, {"bucket": "own"})[0] == "own"
    assert app.signed
    assert all("Credential=isthmus-sandbox/" in line and f"/{REGION}/" in line for line in app.signed)
