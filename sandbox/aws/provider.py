"""The Pulumi resource provider `aws` of the sandbox: serves the engine's gRPC calls by means of the table.

It writes no log. Error messages go to the engine; they contain names, but no values of properties.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc as rpc

from isthmus.core.errors import IsthmusError
from sandbox.aws import configuration
from sandbox.aws.calls import Api, CallRefused, Settings
from sandbox.aws.diff import find_difference
from sandbox.aws.invokes import invoke
from sandbox.aws.model import Type
from sandbox.aws.resources import CreationIncomplete, Resources
from sandbox.aws.schema import suggest_nearest
from sandbox.aws.struct_values import plain, sealed, struct
from sandbox.aws.table import TYPES, WHERE
from sandbox.aws.validation import check

VERSION = "7.51.1"
"""Version of pulumi-aws from which the table has its tokens and property names."""

_KINDS = {
    ("add", False): pb.PropertyDiff.ADD,
    ("add", True): pb.PropertyDiff.ADD_REPLACE,
    ("delete", False): pb.PropertyDiff.DELETE,
    ("delete", True): pb.PropertyDiff.DELETE_REPLACE,
    ("update", False): pb.PropertyDiff.UPDATE,
    ("update", True): pb.PropertyDiff.UPDATE_REPLACE,
}


class Provider(rpc.ResourceProviderServicer):
    """The provider of one process. `environment` holds variables such as AWS_ENDPOINT_URL."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._resources: Resources | None = None
        self._refusal = ""

    # -- the plugin itself

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> pb.ProviderHandshakeResponse:
        # Without accept_secrets the engine itself keeps track of the secret values.
        return pb.ProviderHandshakeResponse(
            accept_secrets=False, accept_resources=False, accept_outputs=False
        )

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> pb.GetSchemaResponse:
        return pb.GetSchemaResponse(schema=json.dumps({"name": "aws", "version": VERSION}))

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> pb.GetMappingResponse:
        return pb.GetMappingResponse()

    def GetMappings(self, request: Any, context: grpc.ServicerContext) -> pb.GetMappingsResponse:
        return pb.GetMappingsResponse()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        # Every call ends by botocore's time-outs, so there is nothing to cancel.
        return empty_pb2.Empty()

    # -- its configuration

    def CheckConfig(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        try:
            problems = configuration.find_problems(configuration.decode(plain(request.news)))
        except IsthmusError as error:
            problems = [("", str(error))]
        return pb.CheckResponse(inputs=request.news, failures=_failures(problems))

    def DiffConfig(self, request: pb.DiffRequest, context: grpc.ServicerContext) -> pb.DiffResponse:
        old, new = plain(request.old_inputs or request.olds), plain(request.news)
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        replaces = configuration.replacement_keys(old, new)
        changes = pb.DiffResponse.DIFF_SOME if names else pb.DiffResponse.DIFF_NONE
        return pb.DiffResponse(changes=changes, diffs=names, replaces=replaces)

    def Configure(self, request: pb.ConfigureRequest, context: grpc.ServicerContext) -> pb.ConfigureResponse:
        raw: dict[str, Any] = plain(request.args) if request.HasField("args") else {}
        if not raw:
            raw = {name.removeprefix("aws:config:"): value for name, value in request.variables.items()}
        try:
            config = configuration.decode(raw)
            self.start(configuration.read_settings(config, self._environment), config)
        except (IsthmusError, CallRefused) as error:
            _fail(context, str(error), grpc.StatusCode.INVALID_ARGUMENT)
        return pb.ConfigureResponse(
            acceptSecrets=False, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    def start(self, settings: Settings, config: Mapping[str, Any]) -> None:
        """Use the settings.

        Raises `InputError` if they do not allow the account, and `CallRefused` if a role cannot be assumed.
        """
        api = Api(settings)
        if settings.roles or config.get("allowedAccountIds") or config.get("forbiddenAccountIds"):
            configuration.check_account(config, api.account())
        self._resources = Resources(api)

    # -- its resources

    def Check(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        kind = self._type(request.urn, context)
        olds = plain(request.olds) if request.HasField("olds") else None
        region = self._ready(context).api.settings.region
        name = request.name or request.urn.rsplit("::", 1)[-1]
        inputs, failures = check(kind, name, plain(request.news), olds, request.randomSeed, region)
        return pb.CheckResponse(inputs=struct(inputs), failures=_failures(failures))

    def Diff(self, request: pb.DiffRequest, context: grpc.ServicerContext) -> pb.DiffResponse:
        kind = self._type(request.urn, context)
        tags = self._ready(context).api.settings.default_tags
        difference = find_difference(
            kind, plain(request.news), plain(request.olds), tags, list(request.ignoreChanges)
        )
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if difference.paths else pb.DiffResponse.DIFF_NONE,
            diffs=difference.props,
            replaces=difference.replaces,
            deleteBeforeReplace=difference.delete_first,
            hasDetailedDiff=True,
            detailedDiff={
                path: pb.PropertyDiff(kind=_KINDS[change]) for path, change in difference.paths.items()
            },
        )

    def Create(self, request: pb.CreateRequest, context: grpc.ServicerContext) -> pb.CreateResponse:
        kind, resources = self._type(request.urn, context), self._ready(context)
        inputs = plain(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=_struct(kind, resources.preview(kind, inputs, None)))
        try:
            id, state = resources.create(kind, inputs)
        except CreationIncomplete as error:
            _fail_unfinished(context, kind, error, inputs)
        except (CallRefused, IsthmusError) as error:
            _fail(context, str(error))
        return pb.CreateResponse(id=id, properties=_struct(kind, state))

    def Read(self, request: pb.ReadRequest, context: grpc.ServicerContext) -> pb.ReadResponse:
        kind, resources = self._type(request.urn, context), self._ready(context)
        id = kind.canonical_id(request.id)
        try:
            state_and_inputs = resources.read(kind, id, plain(request.inputs), plain(request.properties))
        except (CallRefused, IsthmusError) as error:
            _fail(context, str(error))
        if state_and_inputs is None:
            return pb.ReadResponse(id="")
        state, inputs = state_and_inputs
        return pb.ReadResponse(id=id, properties=_struct(kind, state), inputs=_struct(kind, inputs))

    def Update(self, request: pb.UpdateRequest, context: grpc.ServicerContext) -> pb.UpdateResponse:
        kind, resources = self._type(request.urn, context), self._ready(context)
        olds, news = plain(request.olds), plain(request.news)
        if request.preview:
            return pb.UpdateResponse(
                properties=_struct(kind, resources.preview(kind, news, olds, request.id))
            )
        try:
            state = resources.update(kind, request.id, olds, news, list(request.ignoreChanges))
        except (CallRefused, IsthmusError) as error:
            _fail(context, str(error))
        return pb.UpdateResponse(properties=_struct(kind, state))

    def Delete(self, request: pb.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        kind, resources = self._type(request.urn, context), self._ready(context)
        try:
            resources.delete(kind, request.id, plain(request.properties))
        except (CallRefused, IsthmusError) as error:
            _fail(context, str(error))
        return empty_pb2.Empty()

    def Invoke(self, request: pb.InvokeRequest, context: grpc.ServicerContext) -> pb.InvokeResponse:
        resources = self._ready(context)
        try:
            result = invoke(resources.api, request.tok, plain(request.args))
        except (CallRefused, IsthmusError) as error:
            _fail(context, str(error))
        return pb.InvokeResponse(**{"return": struct(result)})  # pyright: ignore[reportArgumentType] - a keyword of Python

    # -- what they share

    def _ready(self, context: grpc.ServicerContext) -> Resources:
        if self._resources is None:
            _fail(context, "the AWS provider is not configured yet", grpc.StatusCode.FAILED_PRECONDITION)
        return self._resources

    def _type(self, urn: str, context: grpc.ServicerContext) -> Type:
        """Return the type of a resource by its URN, `urn:pulumi:stack::project::parent$type::name`."""
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        kind = TYPES.get(token)
        if kind is None:
            _fail(
                context,
                f"the sandbox's AWS provider does not serve the type {token}.{suggest_nearest(token, TYPES)} "
                f"Its types are in {WHERE} and listed in docs/sandbox-aws.md. "
                "To use other types, install the real AWS plugin.",
                grpc.StatusCode.UNIMPLEMENTED,
            )
        return kind


def _struct(kind: Type, values: Mapping[str, Any]) -> Any:
    """Return properties for the engine. Those that the table calls secret are marked as secrets."""
    return struct(
        {name: sealed(value) if kind.prop(name).secret else value for name, value in values.items()}
    )


def _failures(problems: list[tuple[str, str]]) -> list[pb.CheckFailure]:
    return [pb.CheckFailure(property=name, reason=reason) for name, reason in problems]


def _fail(
    context: grpc.ServicerContext, message: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
) -> NoReturn:
    context.abort(code, message)
    raise AssertionError("abort always raises")


def _fail_unfinished(
    context: grpc.ServicerContext, kind: Type, error: CreationIncomplete, inputs: dict[str, Any]
) -> NoReturn:
    """Fail with the id and state of a partly created resource, so that the engine keeps it."""
    detail = any_pb2.Any()
    detail.Pack(
        pb.ErrorResourceInitFailed(
            id=error.id,
            properties=_struct(kind, error.state),
            reasons=[error.reason],
            inputs=_struct(kind, inputs),
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=error.reason, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    _fail(context, error.reason)
