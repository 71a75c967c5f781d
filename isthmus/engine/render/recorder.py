"""Mock of Pulumi's engine that records the resources of a program.

A program registers its resources as usual, but nothing is created. Values that only a cloud or a cluster knows become
named placeholders: `${fra1-restricted-gateway.clusterIP}`.
"""

from __future__ import annotations

import copy
import functools
import typing
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks

from isthmus.core.errors import InputError
from isthmus.core.pulumi_values import ASSET, MASK, OUTPUT, RESOURCE, SECRET, SIGNATURE, UNKNOWN_TEXT

_STACK_TYPE = "pulumi:pulumi:Stack"
_COMPONENT = "isthmus:index:"
"""Beginning of the types of Isthmus's components, which stand in the URNs of their children."""


@dataclass(frozen=True)
class Resource:
    """One resource as registered by the program. Other resources are referred to by URN; values are plain data."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str | None
    provider: str | None
    """URN of the provider; None for components."""
    inputs: dict[str, Any]
    dependencies: list[str]
    property_dependencies: dict[str, list[str]]
    options: dict[str, Any]
    """`protect`, `retainOnDelete`, `ignoreChanges`, `replaceOnChanges`, `customTimeouts`,
    `deleteBeforeReplace`, `deletedWith`, `import`: those that are set; `read` for resources that others own;
    `remote` for components whose children a plugin makes; `pluginDownloadURL` for a plugin from elsewhere;
    `aliases` of a resource outside the components that name a resource of one."""
    own: str = ""
    """What the organisation's own code (`stacks/own.py`) has to do with it: `added`, or `altered: PATHS`. Empty:
    Isthmus alone makes it."""

    @property
    def made(self) -> bool:
        """Whether the stack creates it in a cluster or a cloud: not a component, a provider, or only read."""
        return self.custom and not self.type.startswith("pulumi:") and "read" not in self.options

    def as_json(self) -> dict[str, Any]:
        """The resource in the form of `graph.json`."""
        return {
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "custom": self.custom,
            "parent": self.parent,
            "provider": self.provider,
            "dependencies": self.dependencies,
            "propertyDependencies": self.property_dependencies,
            "options": self.options,
            "inputs": self.inputs,
            **({"own": self.own} if self.own else {}),
        }


@dataclass
class Recording:
    """The recorded resources and output names."""

    resources: dict[str, Resource] = field(default_factory=dict)
    """URN → resource, in the order of registration, which varies."""
    said: set[str] = field(default_factory=set)
    """Names of the outputs of components and of the stack."""


class Recorder(mocks.MockMonitor):
    """Pulumi monitor that records each registration with all options."""

    def __init__(self) -> None:
        super().__init__(Placeholders())
        self.recording = Recording()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """A URN in the engine's form: the types of all parents except the stack, then the resource's type."""
        if parent:
            parent_type = parent.split("::")[2]
            if parent_type != _STACK_TYPE:
                type_ = f"{parent_type}${type_}"
        segments = "::".join([pulumi.get_stack(), pulumi.get_project(), type_, name])
        return f"urn:pulumi:{segments}"

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type == _STACK_TYPE:
            return response
        options: dict[str, Any] = {}
        if request.transforms:
            raise transforms_refused(f"the resource {request.name}")
        for option in ("protect", "retainOnDelete", "deleteBeforeReplace", "deletedWith"):
            if getattr(request, option):
                options[option] = getattr(request, option)
        if request.remote:
            # A plugin makes its children, so a rendering does not have them.
            options["remote"] = True
        if request.importId:
            options["import"] = request.importId
        if aliases := _aliases_of_components(response.urn, request):
            options["aliases"] = aliases
        if request.pluginDownloadURL:
            options["pluginDownloadURL"] = request.pluginDownloadURL
        for option in ("ignoreChanges", "replaceOnChanges"):
            if getattr(request, option):
                options[option] = sorted(getattr(request, option))
        timeouts = MessageToDict(request.customTimeouts)
        if timeouts:
            options["customTimeouts"] = timeouts
        needs = {
            key: sorted(set(value.urns))
            for key, value in sorted(request.propertyDependencies.items())
            if value.urns
        }
        self._record(response.urn, request, request.custom, MessageToDict(request.object), needs, options)
        return response

    def ReadResource(self, request: Any) -> Any:
        """Record a resource that others own and the program only reads; the option `read` has its id."""
        response = super().ReadResource(request)
        properties = MessageToDict(request.properties)
        self._record(response.urn, request, True, properties, {}, {"read": request.id})
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.recording.said.update(request.outputs.fields)
        return super().RegisterResourceOutputs(request)

    def _record(
        self,
        urn: str,
        request: Any,
        custom: bool,
        inputs: dict[str, Any],
        needs: dict[str, list[str]],
        options: dict[str, Any],
    ) -> None:
        if urn in self.recording.resources:
            raise ValueError(f"two resources have the URN {urn}")
        parent = request.parent if _STACK_TYPE not in request.parent.split("::")[2:3] else None
        self.recording.resources[urn] = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=custom,
            parent=parent or None,
            # A reference to a provider is `URN::ID`; only the URN is kept.
            provider=(request.provider.rsplit("::", 1)[0] or None) if custom else None,
            inputs=plain(inputs),
            dependencies=sorted(set(request.dependencies)),
            property_dependencies=needs,
            options=options,
        )


def _aliases_of_components(urn: str, request: Any) -> list[str]:
    """Aliases by which a resource outside the components takes over the state of one of a component."""
    if _COMPONENT in urn:
        return []
    texts = {
        alias.urn or f"{alias.spec.parentUrn}::{alias.spec.name or request.name}" for alias in request.aliases
    }
    return sorted(text for text in {*texts, *request.aliasURNs} if _COMPONENT in text)


def transforms_refused(what: str) -> InputError:
    """The error for transforms: the engine runs them, so a rendering cannot show what they make of resources."""
    return InputError(
        f"{what} has transforms, which only the engine runs: no rendering shows what they change, no rule judges it",
        where="the program",
        fix="Write the change into the resource itself, or use an override of the platform",
    )


class Placeholders(mocks.Mocks):
    """Answers of the mocked engine: placeholders for unknown values."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        state = copy.deepcopy(args.inputs)
        if args.typ.startswith("kubernetes:"):
            return _kubernetes_id(args, state), _kubernetes_outputs(args, state)
        if args.custom and not args.typ.startswith("pulumi:providers:"):
            for name, is_list in _text_outputs(args.typ):
                text = placeholder(args.typ, args.name, name)
                state.setdefault(name, [text] if is_list else text)
            if args.typ in _STRUCTURED_OUTPUTS:
                state |= _STRUCTURED_OUTPUTS[args.typ](args.name, state)
        return args.resource_id or f"${{{args.name}.id}}", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answer = _FUNCTION_ANSWERS.get(args.token)
        if answer is None:
            raise NotImplementedError(f"rendering has no placeholder for the function {args.token}")
        return answer(args.args), []


def _endpoint_names(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """DNS names of a VPC endpoint in AWS's form, because programs look for the regional name."""
    region, _, service = str(state.get("serviceName", "")).removeprefix("com.amazonaws.").partition(".")
    # Only SageMaker's runtime has a host name that differs from its service name.
    host = "runtime.sagemaker" if service == "sagemaker.runtime" else service
    regional = f"vpce-${{{name}.id}}.{host}.{region}.vpce.amazonaws.com"
    return {"dnsEntries": [{"dnsName": regional, "hostedZoneId": f"${{{name}.hostedZoneId}}"}]}


def _resolver_addresses(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Addresses of a resolver endpoint; AWS assigns one in each of its subnets."""
    places = state.get("ipAddresses") or []
    return {
        "ipAddresses": [{**address, "ip": f"${{{name}.ip[{index}]}}"} for index, address in enumerate(places)]
    }


def _cluster(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Outputs that EKS adds to a cluster: its certificate authority and security group."""
    security_group = {"clusterSecurityGroupId": f"${{{name}.clusterSecurityGroupId}}"}
    authority = {"data": f"${{{name}.certificateAuthority}}"}
    return {
        "certificateAuthority": authority,
        "vpcConfig": {**(state.get("vpcConfig") or {}), **security_group},
    }


_STRUCTURED_OUTPUTS: dict[str, Any] = {
    "aws:eks/cluster:Cluster": _cluster,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint_names,
    "aws:route53/resolverEndpoint:ResolverEndpoint": _resolver_addresses,
}
"""Type → function for outputs that programs take apart."""

_FUNCTION_ANSWERS: dict[str, Any] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": "${aws.accountId}",
        "arn": "arn:aws:iam::${aws.accountId}:user/${aws.caller}",
        "id": "${aws.accountId}",
        "userId": "${aws.caller}",
    },
    "aws:ec2/getPrefixList:getPrefixList": lambda args: {
        "id": f"${{prefix-list.{args.get('name')}}}",
        "prefixListId": f"${{prefix-list.{args.get('name')}}}",
        "name": args.get("name"),
        "cidrBlocks": [],
    },
    "aws:index/getPartition:getPartition": lambda _: {
        "partition": "aws",
        "id": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getRegion:getRegion": lambda args: {
        "region": args.get("region") or "${aws.region}",
        "name": args.get("region") or "${aws.region}",
        "id": args.get("region") or "${aws.region}",
        "description": "${aws.region.description}",
        "endpoint": "${aws.region.endpoint}",
    },
}


def placeholder(type_token: str, name: str, prop: str) -> str:
    """`${name.prop}`; in the form of an ARN for ARN properties, since programs take ARNs apart."""
    text = f"${{{name}.{prop}}}"
    if prop == "arn" or prop.endswith("Arn"):
        service = type_token.split(":")[1].split("/")[0]
        return f"arn:aws:{service}:::{text}"
    return text


def _text_outputs(type_token: str) -> list[tuple[str, bool]]:
    """The outputs that a resource always has, from its class in the SDK: texts, and lists of texts (True)."""
    cls = _resource_classes().get(type_token)
    if cls is None:
        _resource_classes.cache_clear()
        cls = _resource_classes().get(type_token)
    if cls is None:
        return _OUTPUTS_OF_OTHERS.get(type_token.partition(":")[0], [("arn", False)])
    outputs = []
    for attribute in vars(cls).values():
        getter = attribute.fget if isinstance(attribute, property) else None
        return_type = (getattr(getter, "__annotations__", None) or {}).get("return")
        name = getattr(getter, "_pulumi_name", None) or getattr(getter, "__name__", "")
        if return_type == pulumi.Output[str] or str(return_type) in _TEXT_TYPES:
            outputs.append((name, False))
        elif return_type == pulumi.Output[typing.Sequence[str]] or str(return_type) in _LIST_TYPES:
            outputs.append((name, True))
    return outputs


_OUTPUTS_OF_OTHERS = {
    "random": [(name, False) for name in ("result", "b64Std", "b64Url", "base64", "bcryptHash", "dec", "hex")]
    + [("results", True)],
    "tls": [
        *((f"{kind}{form}", False) for kind in ("privateKey", "publicKey") for form in ("Pem", "Openssh")),
        *(("certPem", False), ("certRequestPem", False), ("caKeyAlgorithm", False), ("keyAlgorithm", False)),
        *(("publicKeyFingerprintMd5", False), ("publicKeyFingerprintSha256", False)),
    ],
    "time": [("rfc3339", False), ("rotationRfc3339", False), ("baseRfc3339", False)],
}
"""Package → outputs of resources that a program writes without the provider's SDK; a missing one would vanish."""

_TEXT_TYPES = {"pulumi.Output[_builtins.str]", "pulumi.Output[str]"}
_LIST_TYPES = {"pulumi.Output[Sequence[_builtins.str]]", "pulumi.Output[Sequence[str]]"}


@functools.lru_cache(maxsize=1)
def _resource_classes() -> dict[str, type]:
    """Type token → loaded resource class."""
    classes: dict[str, type] = {}
    queue: list[type] = [pulumi.CustomResource]
    while queue:
        for cls in queue.pop().__subclasses__():
            queue.append(cls)
            token = vars(cls).get("pulumi_type")
            if token:
                classes[token] = cls
    return classes


def _kubernetes_id(args: mocks.MockResourceArgs, state: dict[str, Any]) -> str:
    meta = state.get("metadata") or {}
    name = meta.get("name")
    if not isinstance(name, str):
        return f"${{{args.name}.id}}"
    namespace = meta.get("namespace")
    return f"{namespace}/{name}" if namespace else name


def _kubernetes_outputs(args: mocks.MockResourceArgs, state: dict[str, Any]) -> dict[str, Any]:
    if args.typ == "kubernetes:core/v1:Service" and isinstance(state.get("spec"), dict):
        state["spec"].setdefault("clusterIP", f"${{{args.name}.clusterIP}}")
    meta = state.get("metadata")
    if isinstance(meta, dict):
        meta.setdefault("name", f"${{{args.name}.name}}")
        meta.setdefault("uid", f"${{{args.name}.uid}}")
    return state


def plain(value: Any) -> Any:
    """Protocol data as plain data: secrets are masked, whole numbers become integers."""
    if isinstance(value, dict):
        mark = value.get(SIGNATURE)
        if mark == SECRET:
            return MASK
        if mark == OUTPUT:
            return MASK if value.get("secret") else plain(value.get("value"))
        if mark == ASSET:
            return {"asset": plain(value.get("text", value.get("path")))}
        if mark == RESOURCE:  # providers that know no references get the id
            return plain(value.get("id")) or f"${{{str(value.get('urn')).rpartition('::')[2]}.id}}"
        return {key: plain(item) for key, item in sorted(value.items()) if key != "__defaults"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value == UNKNOWN_TEXT:
        return "${unknown}"
    return value


__all__ = ["MASK", "Placeholders", "Recorder", "Recording", "Resource", "placeholder", "plain"]
