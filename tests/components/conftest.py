"""A mocks engine that records every resource, and the bank's platform to build with it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pulumi
import pytest
from pulumi.runtime import mocks, rpc
from pulumi.runtime.sync_await import _ensure_event_loop

from isthmus.contracts.platform.checked import CheckedPlatform
from tests.components.platforms import bank
from tests.s3_service import client, s3_service

ACCOUNT = "123456789012"
BUCKET = "llm-audit"
COMPUTED: dict[str, dict[str, Any]] = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "dnsEntries": [
            {"dnsName": f"vpce-0a-1b{zone}.service.eu-central-1.vpce.amazonaws.com", "hostedZoneId": "Z1"}
            for zone in ("-eu-central-1a", "", "-eu-central-1b")
        ]
    },
    "aws:lb/loadBalancer:LoadBalancer": {"dnsName": "localhost", "zoneId": "ZELB"},
    "aws:route53/zone:Zone": {"zoneId": "ZOWN"},
    "aws:ec2/vpcEndpointService:VpcEndpointService": {"serviceName": "com.amazonaws.vpce.eu-central-1.svc"},
    "aws:ec2/vpnConnection:VpnConnection": {
        "transitGatewayAttachmentId": "tgw-attach-vpn",
        "presharedKeyArn": "arn:aws:secretsmanager:::secret:vpn",
    },
    "aws:directconnect/gatewayAssociation:GatewayAssociation": {
        "transitGatewayAttachmentId": "tgw-attach-dx"
    },
    "aws:bedrock/guardrail:Guardrail": {
        "guardrailArn": f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:guardrail/g1",
        "guardrailId": "g1",
    },
    "aws:kms/key:Key": {"keyId": "1a2b3c4d-0000-4000-8000-000000000000"},
    "aws:eks/cluster:Cluster": {
        "certificateAuthority": {"data": "Y2E="},
        "endpoint": "https://eks.example",
        "vpcConfig": {"clusterSecurityGroupId": "sg-cluster"},
    },
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:bedrock/guardrailVersion:GuardrailVersion": {"version": "1"},
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": {
        "provisionedModelArn": f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:provisioned-model/p1"
    },
}
"""By type: outputs that AWS makes up and others read."""


@dataclass(frozen=True)
class Made:
    """A resource as the engine was asked for it: names in the provider's own spelling."""

    type: str
    name: str
    inputs: dict[str, Any]
    provider: str
    parent: str
    depends_on: tuple[str, ...]
    retained: bool
    timeouts: dict[str, str]
    secret_outputs: tuple[str, ...] = ()
    protected: bool = False
    imported: str = ""

    @property
    def meta(self) -> dict[str, Any]:
        return self.inputs["metadata"]

    @property
    def spec(self) -> dict[str, Any]:
        return self.inputs["spec"]

    @property
    def kind(self) -> str:
        return self.type.rsplit(":", 1)[-1]

    @property
    def pod(self) -> dict[str, Any]:
        """The pod's spec of a Deployment."""
        return self.spec["template"]["spec"]


class Monitor(mocks.MockMonitor):
    """Keeps what the mocks are not told: options that the program set on a resource."""

    def __init__(self, engine: "Engine") -> None:
        super().__init__(engine)
        self.engine = engine

    def RegisterResource(self, request: Any) -> Any:
        if request.custom:
            inputs = rpc.deserialize_properties(request.object)
            self.engine.made.append(
                Made(
                    request.type,
                    request.name,
                    inputs,
                    request.provider.split("::")[-2] if request.provider else "",
                    request.parent.split("::")[-1],
                    tuple(urn.split("::")[-1] for urn in request.dependencies),
                    request.retainOnDelete,
                    {key.name: value for key, value in request.customTimeouts.ListFields()},
                    tuple(request.additionalSecretOutputs),
                    request.protect,
                    request.importId,
                )
            )
        return super().RegisterResource(request)


@dataclass
class Engine(mocks.Mocks):
    """Stands in for the engine: gives each resource back as it was asked for, with an id."""

    made: list[Made] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = dict(args.inputs)
        if args.resource_id and args.resource_id not in {resource.imported for resource in self.made}:
            self.reads.append(f"{args.typ} {args.resource_id}")
            return args.resource_id, inputs
        if args.typ == "kubernetes:core/v1:Service":
            inputs["spec"] = {**inputs["spec"], "clusterIP": f"10.96.0.{crc32(args.name.encode()) % 250}"}
        if args.typ.startswith("aws:"):
            inputs["arn"] = f"arn:aws:{args.typ.split(':')[1]}:::{args.name}"
            inputs |= COMPUTED.get(args.typ, {})
        if args.typ == "aws:ec2/vpcEndpoint:VpcEndpoint":
            inputs["prefixListId"] = "pl-s3" if args.name.endswith("-s3") else ""
        if args.typ == "aws:bedrock/inferenceProfile:InferenceProfile":
            # In the form that the edge asks for: it refuses what is no ARN of Bedrock.
            inputs["arn"] = (
                f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:application-inference-profile/{args.name}"
            )
        if args.typ in (
            "aws:sagemaker/model:Model",
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        ):
            # Named by the provider: each life has another name.
            inputs["name"] = f"{args.name}-0a1b2c3"
        if args.typ == "aws:route53/resolverEndpoint:ResolverEndpoint":
            inputs["ipAddresses"] = [
                {**place, "ip": f"10.60.{at}.10"} for at, place in enumerate(inputs["ipAddresses"])
            ]
        return f"{args.name}-id", inputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token == "aws:ec2/getPrefixList:getPrefixList":
            return {"id": f"pl-{args.args['name']}", "name": args.args["name"], "cidrBlocks": []}
        assert args.token == "aws:index/getCallerIdentity:getCallerIdentity", args.token
        return {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "userId": "u", "id": ACCOUNT}

    def deploy(self, component: Any, name: str, *args: Any, **more: Any) -> None:
        """Build one component and wait for all of it; its outputs, resolved, are in `outputs`."""
        self.run(lambda: component(name, *args, **more))

    def run(self, program: Callable[[], Any]) -> None:
        """Run a program; what it returns, a component, has its outputs awaited. Errors come out as raised."""
        _ensure_event_loop()  # another test's asyncio.run() leaves the thread without one
        asyncio.get_event_loop_policy().get_event_loop().set_exception_handler(_heard)
        mocks.set_mocks(self, project="isthmus", stack="test", preview=False, monitor=Monitor(self))
        root = pulumi.runtime.settings.get_root_resource()
        if root is not None:  # a program rendered before in this process has tagged all that comes after it
            root._transformations = []

        @pulumi.runtime.test
        def program_in_component() -> Any:
            component = program()
            outputs = {
                key: getattr(component, key)
                for key in type(component).__annotations__
                if not key.startswith("_")
            }
            return pulumi.Output.all(**outputs).apply(self.outputs.update)

        program_in_component()

    def all(self, kind: str) -> list[Made]:
        return [resource for resource in self.made if resource.kind == kind]

    def only(self, kind: str, name: str | None = None) -> Made:
        resources = [resource for resource in self.all(kind) if name is None or resource.name == name]
        assert len(resources) == 1, f"{kind} {name}: {[resource.name for resource in self.all(kind)]}"
        return resources[0]

    def pods(self) -> dict[str, dict[str, Any]]:
        """The pod spec of each Deployment."""
        return {deployment.meta["name"]: deployment.pod for deployment in self.all("Deployment")}


def _heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error comes out of `Engine.run`; that outputs made of it hold it too is no news when they are collected."""
    if context["message"] != "Future exception was never retrieved":
        loop.default_exception_handler(context)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def platform() -> dict[str, Any]:
    """The bank's platform as a dict, to be changed by a test."""
    return bank()


def providers(*keys: str) -> dict[str, pulumi.ProviderResource]:
    """A provider by each key: a Kubernetes one for `SITE/kubernetes` and `late`, else one of AWS."""
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    kinds = {key: Kubernetes if key.endswith(("kubernetes", "late")) else Aws for key in keys}
    return {key: kind(key.replace("/", "-")) for key, kind in kinds.items()}


def build(
    engine: Engine, platform: dict[str, Any], *, only_admission: bool = False, name: str = "isthmus"
) -> None:
    """The whole platform, or its first step, each site with a provider of its own."""
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    from components import LlmPlatform

    def program() -> pulumi.ComponentResource:
        providers: dict[str, pulumi.ProviderResource] = {
            site["name"]: Kubernetes(site["name"]) if site["kind"] == "on-prem" else Aws(site["name"])
            for site in platform["sites"]
        }
        checked = CheckedPlatform.model_validate(platform)
        return LlmPlatform(name, checked, providers, only_admission=only_admission)

    engine.run(program)


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A client of a store with Object Lock, and in it the bucket of the bank's records."""
    with s3_service() as url:
        connection = client(url)
        connection.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        yield connection


@pytest.fixture(scope="session")
def built() -> Engine:
    """The bank's platform as it is built unchanged, once for all who only read."""
    fresh_engine = Engine()
    build(fresh_engine, bank())
    return fresh_engine
