"""The frame beside moto: what it checks, and what it lets pass."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from sandbox.aws.service_frame import Frame, Operation, ServiceRequest

SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/bedrock/aws4_request, SignedHeaders=host"


def behind(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"moto"]


def ask(
    frame: Frame, path: str, more: dict[str, str] | None = None, *, method: str = "GET", body: bytes = b""
) -> tuple[str, bytes]:
    lines: list[str] = []
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_AUTHORIZATION": SIGNED,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **(more or {}),
    }
    answer = b"".join(frame(environ, lambda status, headers: lines.append(status)))
    return lines[0], answer


def profiles(answer: dict[str, Any], requests: list[ServiceRequest] | None = None) -> Frame:
    def served(request: ServiceRequest) -> dict[str, Any]:
        if requests is not None:
            requests.append(request)
        return answer

    return Frame([Operation("bedrock", "ListInferenceProfiles", served)], behind, "123456789012")


def test_a_parameter_comes_as_its_shape_wants_it() -> None:
    requests: list[ServiceRequest] = []
    status, _ = ask(profiles({"inferenceProfileSummaries": []}, requests), "/inference-profiles?maxResults=5")
    assert status.startswith("200")
    assert requests == [ServiceRequest({"maxResults": 5}, "eu-central-1", "123456789012")]


@pytest.mark.parametrize("query", ["maxResults=many", "maxResults=0", "maxResults=1001", "type=NONE"])
def test_a_wrong_parameter_never_reaches_the_operation(query: str) -> None:
    requests: list[ServiceRequest] = []
    status, body = ask(profiles({}, requests), f"/inference-profiles?{query}")
    assert status.startswith("400")
    assert json.loads(body)["__type"] == "ValidationException"
    assert requests == []


@pytest.mark.parametrize(
    "answer",
    [
        {"inferenceProfileSummaries": [{"inferenceProfileName": "no id"}]},
        {"inferenceProfileSummaries": "no list"},
        {"inferenceProfileSummaries": [], "invented": 1},
    ],
)
def test_an_answer_that_aws_could_not_give_is_our_own_error(answer: dict[str, Any]) -> None:
    status, _ = ask(profiles(answer), "/inference-profiles")
    assert status.startswith("500")


@pytest.mark.parametrize(
    "more",
    [
        {"REQUEST_METHOD": "DELETE"},
        {"PATH_INFO": "/inference-profiles/x/y"},
        {"HTTP_AUTHORIZATION": SIGNED.replace("bedrock", "s3")},
        {"HTTP_AUTHORIZATION": ""},
    ],
)
def test_what_is_not_ours_goes_on(more: dict[str, str]) -> None:
    assert ask(profiles({}), "/inference-profiles", more)[1] == b"moto"


def test_a_body_that_is_no_json_is_refused() -> None:
    def served(request: ServiceRequest) -> dict[str, Any]:
        raise AssertionError("never reached")

    frame = Frame([Operation("logs", "AssociateKmsKey", served)], behind, "123456789012")
    target = {"HTTP_X_AMZ_TARGET": "Logs_20140328.AssociateKmsKey"}
    for body in (b"{", b"[]"):
        status, answer = ask(frame, "/", target, method="POST", body=body)
        assert status.startswith("400")
        assert json.loads(answer)["__type"] == "SerializationException"
    status, answer = ask(frame, "/", target, method="POST", body=b"{}")
    assert "kmsKeyId" in json.loads(answer)["message"], "a required member is missing"


def gateways(answer: dict[str, Any], requests: list[ServiceRequest] | None = None) -> Frame:
    def served(request: ServiceRequest) -> dict[str, Any]:
        if requests is not None:
            requests.append(request)
        return answer

    return Frame([Operation("ec2", "DeleteVpnConnection", served)], behind, "123456789012")


def of(service: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": SIGNED.replace("bedrock", service)}


def test_an_operation_of_a_form_is_found_by_its_action_and_answered_in_xml() -> None:
    requests: list[ServiceRequest] = []
    body = b"Action=DeleteVpnConnection&Version=2016-11-15&VpnConnectionId=vpn-1&DryRun=true"
    status, answer = ask(gateways({}, requests), "/", of("ec2"), method="POST", body=body)
    assert status.startswith("200")
    assert b"<DeleteVpnConnectionResponse" in answer
    assert requests == [
        ServiceRequest({"VpnConnectionId": "vpn-1", "DryRun": True}, "eu-central-1", "123456789012")
    ]


def test_an_answer_of_parts_is_written_as_xml() -> None:
    answer = {"CustomerGateway": {"CustomerGatewayId": "cgw-1", "Tags": [{"Key": "a", "Value": "<&>"}]}}
    frame = Frame([Operation("ec2", "CreateCustomerGateway", lambda request: answer)], behind, "1")
    body = b"Action=CreateCustomerGateway&Type=ipsec.1"
    status, text = ask(frame, "/", of("ec2"), method="POST", body=body)
    assert status.startswith("200")
    assert b"<customerGatewayId>cgw-1</customerGatewayId>" in text
    assert b"<tagSet><item><key>a</key><value>&lt;&amp;&gt;</value></item></tagSet>" in text


def test_a_form_without_a_required_member_is_refused_in_xml() -> None:
    requests: list[ServiceRequest] = []
    status, answer = ask(
        gateways({}, requests), "/", of("ec2"), method="POST", body=b"Action=DeleteVpnConnection"
    )
    assert status.startswith("400")
    assert b"<Errors><Error><Code>InvalidParameterValue</Code>" in answer
    assert b"VpnConnectionId" in answer
    assert requests == []


def test_a_word_where_a_number_belongs_is_refused_in_xml() -> None:
    def served(request: ServiceRequest) -> dict[str, Any]:
        raise AssertionError("never reached")

    frame = Frame([Operation("ec2", "CreateCustomerGateway", served)], behind, "1")
    body = b"Action=CreateCustomerGateway&Type=ipsec.1&BgpAsn=many"
    status, answer = ask(frame, "/", of("ec2"), method="POST", body=body)
    assert status.startswith("400")
    assert b"A number was expected" in answer


def test_a_form_that_is_not_ours_goes_on_with_its_body() -> None:
    read: list[bytes] = []

    def reads(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        read.append(environ["wsgi.input"].read())
        return [b"moto"]

    frame = Frame([Operation("ec2", "DeleteVpnConnection", lambda request: {})], reads, "1")
    body = b"Action=DescribeVpcs&Version=2016-11-15"
    assert ask(frame, "/", of("ec2"), method="POST", body=body)[1] == b"moto"
    assert read == [body]


def test_a_service_of_another_protocol_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="s3 speaks rest-xml"):
        Frame([Operation("s3", "ListBuckets", lambda request: {})], behind, "1")
