"""AWS's own credential helper, unmodified, as it stands beside a translator: a certificate in, a session out.

The anchor, role and profile are made by our components on the sandbox's AWS; the helper's arguments and the
translator's variables are those of the component that puts it into a pod.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from components.gateway.translator.credential_helper import AwsIdentity, credential_helper
from sandbox.toolchain import find, install
from tests.aws_sandbox.authority import Authority, ec_key
from tests.aws_sandbox.driver import REGION
from tests.aws_sandbox.stack import Stack, endpoint
from tests.edge import certificates
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.processes import Edge, free_port

pytestmark = pytest.mark.sandbox

NAME = "internal-translator.isthmus-internal.svc"


@pytest.fixture(scope="module")
def helper() -> Path:
    if find("aws_signing_helper") is None:
        if not (shutil.which("cc") or shutil.which("gcc")):
            pytest.skip("aws_signing_helper is built with a C compiler, and there is none")
        install(tools=["signing-helper"])
    actual = find("aws_signing_helper")
    assert actual is not None
    return actual


@dataclass
class Account:
    """The stack with our components, and the authority that its anchor trusts."""

    url: str
    authority: Authority
    arns: dict[str, str]
    stack: Stack


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    authority = Authority("Bank LLM identities")
    with endpoint() as url:
        stack = Stack(tmp_path_factory.mktemp("identity"), url)

        def program(aws: Any, opts: Any) -> None:
            import pulumi

            from components.aws.identity.trust_anchor import TrustAnchor
            from components.aws.identity.workload_identity import WorkloadIdentity

            provider = opts().provider
            at = pulumi.ResourceOptions(providers=[provider])
            anchor = TrustAnchor(
                "anchor",
                {"name": "bank", "region": REGION, "mode": "manage", "ca_certificates": authority.pem},
                at,
            )
            identity = WorkloadIdentity(
                "identity",
                {
                    "name": "internal",
                    "sensitivity": "internal",
                    "trust_anchor": anchor.arn,
                    "subject": NAME,
                    "actions": ["bedrock:InvokeModel"],
                    "resources": ["arn:aws:bedrock:*:123456789012:application-inference-profile/*"],
                    "session_seconds": 3600,
                },
                at,
            )
            pulumi.export("trust_anchor_arn", anchor.arn)
            pulumi.export("role_arn", identity.role_arn)
            pulumi.export("profile_arn", identity.profile_arn)

        stack.up(program)
        yield Account(url, authority, stack.outputs(), stack)


def identity(folder: Path, authority: Authority, name: str = NAME) -> Path:
    """A pod's mounted Secret: `tls.crt` and `tls.key`."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue(name, key=ec_key())
    (folder / "tls.crt").write_bytes(issued.certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key = issued.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key)
    return folder


def arguments(account: Account, mount: Path, port: int, command: str = "serve") -> list[str]:
    """The component's own command line, its mount and port put in place."""
    created: AwsIdentity = {
        **account.arns,  # type: ignore[typeddict-item]
        "region": REGION,
        "session_seconds": 3600,
        "image": "none",
        "endpoint_url": account.url,
        "certificate_secret": "identity",
    }
    import pulumi

    parts = credential_helper(
        "t", "internal-translator", "isthmus-internal", {}, created, pulumi.ResourceOptions()
    )
    output = [
        str(each).replace("/etc/isthmus/identity", str(mount)) for each in parts.containers[0]["command"][1:]
    ]
    output[output.index("--port") + 1] = str(port)
    if command == "credential-process":
        for option in ("--port", "--hop-limit"):
            at = output.index(option)
            del output[at : at + 2]
        output[0] = command
    return output


@pytest.fixture
def served(helper: Path, account: Account, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    mount = identity(tmp_path / "identity", account.authority)
    log = (tmp_path / "helper.log").open("w")
    process = subprocess.Popen([helper, *arguments(account, mount, port)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (tmp_path / "helper.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "helper.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        log.close()


def test_the_translator_calls_bedrock_with_a_session_that_its_certificate_got(
    served: str, account: Account, tmp_path: Path
) -> None:
    tls = certificates.Authority(tmp_path / "tls")
    tls.issue("translator", NAME)
    tls.issue("gateway", "internal-gateway.isthmus-internal.svc")
    bedrock = FakeBedrock()
    config = {
        "mode": "translator",
        "class": "internal",
        "listen": {
            "certificate": str(tls.folder / "translator.crt"),
            "key": str(tls.folder / "translator.key"),
            "client_ca": str(tls.path),
        },
        "allowed_clients": ["internal-gateway.isthmus-internal.svc"],
        "models": [
            {
                "name": "m",
                "region": REGION,
                "inference_profile": "eu.amazon.nova-lite-v1:0",
                "endpoint_url": bedrock.url,
            }
        ],
    }
    environment = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": served,
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    edge = Edge(tmp_path / "edge", config, environment)
    try:
        edge.wait_until_up(120)
        with httpx.Client(verify=tls.client("gateway"), trust_env=False, timeout=60) as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
            answer = client.post(f"{edge.url}/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text + edge.output()
    finally:
        edge.stop()
        bedrock.shutdown()
        bedrock.server_close()
    ((_, headers, _),) = bedrock.requests
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["x-amz-security-token"], "a session has a token"
    key = sent["authorization"].partition("Credential=")[2].partition("/")[0]
    import boto3

    user = boto3.client(
        "sts",
        endpoint_url=account.url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key="x",
        aws_session_token=sent["x-amz-security-token"],
    ).get_caller_identity()
    role = account.arns["role_arn"].rsplit("/", 1)[-1]
    assert f"assumed-role/{role}/" in user["Arn"], user["Arn"]


def ask(helper: Path, account: Account, mount: Path) -> subprocess.CompletedProcess[str]:
    command = [str(helper), *arguments(account, mount, 0, "credential-process")]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_rotated_certificate_serves_without_another_setting(
    helper: Path, account: Account, tmp_path: Path
) -> None:
    mount = identity(tmp_path / "identity", account.authority)
    first = (mount / "tls.crt").read_bytes()
    assert ask(helper, account, mount).returncode == 0
    identity(mount, account.authority)
    assert (mount / "tls.crt").read_bytes() != first
    assert "AccessKeyId" in ask(helper, account, mount).stdout


def test_a_certificate_of_another_authority_gets_nothing(
    helper: Path, account: Account, tmp_path: Path
) -> None:
    mount = identity(tmp_path / "identity", Authority("Somebody else"))
    done = ask(helper, account, mount)
    assert done.returncode != 0
    assert "AccessKeyId" not in done.stdout
    assert "Untrusted" in done.stderr


def test_a_certificate_with_another_name_gets_nothing(helper: Path, account: Account, tmp_path: Path) -> None:
    mount = identity(tmp_path / "identity", account.authority, "public-translator.isthmus-public.svc")
    done = ask(helper, account, mount)
    assert done.returncode != 0
    assert "AccessKeyId" not in done.stdout
