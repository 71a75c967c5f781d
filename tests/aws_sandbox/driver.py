"""The provider as the engine sees it: a gRPC client, and an endpoint to work against."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Mapping
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc as rpc

from sandbox.aws.provider import Provider
from sandbox.aws.struct_values import plain, struct

REGION = "eu-central-1"


class Refusal(Exception):
    """What the provider answered with, in words."""


class World:
    """The endpoint with boto3 clients (another hand at work) and names that nobody else has."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: dict[tuple[str, str], Any] = {}

    def boto(self, service: str, region: str = REGION) -> Any:
        """The same client every time: making one takes longer than most calls."""
        import boto3

        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id="x",
                aws_secret_access_key="x",
            )
        return self._clients[service, region]

    def forget(self) -> None:
        """As `isthmus sandbox down` and `up` do: the endpoint is there, and nothing in it."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def put(self, path: str, body: Any) -> Any:
        """The answer of one of the sandbox's own addresses. Raises `HTTPError` for a refusal."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def name(self, stem: str) -> str:
        return f"{stem}-{uuid.uuid4().hex[:8]}"

    def bucket(self, **options: Any) -> str:
        name = self.name("bucket")
        where = {"LocationConstraint": REGION}
        self.boto("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where, **options)
        return name

    def key(self) -> str:
        return self.boto("kms").create_key()["KeyMetadata"]["KeyId"]

    def role(self) -> str:
        return self.role_arn().rsplit("/", 1)[-1]

    def role_arn(self, service: str = "rolesanywhere.amazonaws.com") -> str:
        """A role that a service may assume."""
        name = self.name("role")
        role = self.boto("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
        return role["Role"]["Arn"]

    def policy(self) -> str:
        name = self.name("policy")
        policy = self.boto("iam").create_policy(PolicyName=name, PolicyDocument=document("s3:GetObject"))
        return policy["Policy"]["Arn"]


def trust(service: str = "rolesanywhere.amazonaws.com") -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def document(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Client:
    """Calls of the provider, with dicts for Structs."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        rpc.add_ResourceProviderServicer_to_server(Provider(environment or {}), self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = rpc.ResourceProviderStub(self._channel)

    def close(self) -> None:
        self._channel.close()
        self._server.stop(None).wait()

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request)
        except grpc.RpcError as error:
            refusal = Refusal(error.details())  # pyright: ignore[reportAttributeAccessIssue]
            refusal.add_note(str(error.trailing_metadata()))  # pyright: ignore[reportAttributeAccessIssue]
            raise refusal from error

    def configure(self, **config: Any) -> None:
        wire = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        self._call("Configure", pb.ConfigureRequest(args=struct(wire)))

    def check_config(self, **config: Any) -> list[tuple[str, str]]:
        answer = self._call("CheckConfig", pb.CheckRequest(news=struct(config)))
        return [(failure.property, failure.reason) for failure in answer.failures]

    @staticmethod
    def urn(token: str, name: str = "thing") -> str:
        return f"urn:pulumi:dev::isthmus::{token}::{name}"

    def check(
        self,
        token: str,
        news: Mapping[str, Any],
        olds: Mapping[str, Any] | None = None,
        name: str = "thing",
        seed: bytes = b"",
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        old = struct(olds) if olds is not None else None
        request = pb.CheckRequest(
            urn=self.urn(token, name), name=name, news=struct(news), olds=old, randomSeed=seed
        )
        answer = self._call("Check", request)
        return plain(answer.inputs), [(failure.property, failure.reason) for failure in answer.failures]

    def checked(
        self, token: str, news: Mapping[str, Any], olds: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        inputs, failures = self.check(token, news, olds)
        assert not failures, failures
        return inputs

    def diff(
        self,
        token: str,
        id: str,
        state: Mapping[str, Any],
        news: Mapping[str, Any],
        ignore: tuple[str, ...] = (),
    ) -> pb.DiffResponse:
        request = pb.DiffRequest(
            id=id, urn=self.urn(token), olds=struct(state), news=struct(news), ignoreChanges=ignore
        )
        return self._call("Diff", request)

    def create(
        self, token: str, inputs: Mapping[str, Any], preview: bool = False
    ) -> tuple[str, dict[str, Any]]:
        request = pb.CreateRequest(urn=self.urn(token), properties=struct(inputs), preview=preview)
        answer = self._call("Create", request)
        return answer.id, plain(answer.properties)

    def read(
        self,
        token: str,
        id: str,
        state: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        request = pb.ReadRequest(
            id=id, urn=self.urn(token), properties=struct(state or {}), inputs=struct(inputs or {})
        )
        answer = self._call("Read", request)
        return answer.id, plain(answer.properties), plain(answer.inputs)

    def update(
        self, token: str, id: str, state: Mapping[str, Any], news: Mapping[str, Any], preview: bool = False
    ) -> dict[str, Any]:
        request = pb.UpdateRequest(
            id=id, urn=self.urn(token), olds=struct(state), news=struct(news), preview=preview
        )
        return plain(self._call("Update", request).properties)

    def delete(self, token: str, id: str, state: Mapping[str, Any]) -> None:
        request = pb.DeleteRequest(id=id, urn=self.urn(token), properties=struct(state))
        answer = self._call("Delete", request)
        assert isinstance(answer, empty_pb2.Empty)

    def invoke(self, token: str, **args: Any) -> dict[str, Any]:
        answer = self._call("Invoke", pb.InvokeRequest(tok=token, args=struct(args)))
        return plain(getattr(answer, "return"))
