"""Whether an account may call a model, against answers in AWS's words that the test chooses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from isthmus.contracts.platform.model.platform import Endpoint, Site
from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault, Refused
from stacks.aws_account import model_access
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
SITE = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1", account_id="123456789012")


class Bedrock:
    """What AWS answers, and for what it was asked."""

    def __init__(self) -> None:
        self.agreement: dict[str, str] = {"status": "AVAILABLE"}
        self.rest = {
            "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE",
            "regionAvailability": "AVAILABLE",
        }
        self.fault: Exception | None = None
        self.asked: list[tuple[str | None, str]] = []
        self.sessions: list[dict[str, Any]] = []
        self.region: str | None = None

    def get_foundation_model_availability(self, modelId: str) -> dict[str, Any]:
        self.asked.append((self.region, modelId))
        if self.fault:
            raise self.fault
        return {"modelId": modelId, "agreementAvailability": self.agreement, **self.rest}


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    fake = Bedrock()

    def session(region: str, roles: list[Any], **more: Any) -> str:
        fake.sessions.append({"region": region, "roles": roles, **more})
        return "session"

    def client(_: Any, service: str, region: str | None = None) -> Bedrock:
        assert service == "bedrock"
        fake.region = region
        return fake

    monkeypatch.setattr(aws_session, "session", session)
    monkeypatch.setattr(aws_session, "client", client)
    return fake


def endpoint(**changes: Any) -> Endpoint:
    endpoint_found = next(
        candidate for candidate in parse(platform_data()).endpoints if candidate.model == MODEL
    )
    return endpoint_found.model_copy(update=changes)


def ask(site: Site = SITE, *, sandbox: bool = False, **changes: Any) -> list[str]:
    return model_access.Account(site, sandbox).may_call(endpoint(**changes))


def test_a_callable_model_is_accepted(bedrock: Bedrock) -> None:
    assert ask() == []
    assert bedrock.asked == [("eu-central-1", MODEL)]


@pytest.mark.parametrize("status", ["NOT_AVAILABLE", "ERROR", "SOMETHING_NEW"])
def test_unaccepted_model_terms_are_refused(bedrock: Bedrock, status: str) -> None:
    bedrock.agreement = {"status": status, "errorMessage": "no valid payment method"}
    with pytest.raises(Refused, match=rf"has not agreed to the terms of {MODEL}: {status}") as caught:
        ask()
    assert "(no valid payment method)" in str(caught.value)
    assert caught.value.where == "endpoints[internal-haiku].model"
    assert "agree to them once" in (caught.value.fix or "")


def test_an_agreement_that_is_pending_is_waited_for_by_who_asks(bedrock: Bedrock) -> None:
    bedrock.agreement = {"status": "PENDING"}
    with pytest.raises(Refused, match="AWS has not finished with it") as caught:
        ask()
    assert caught.value.fix == "Wait some minutes, then run the same command again"


def test_a_model_that_the_account_is_not_entitled_to_is_refused(bedrock: Bedrock) -> None:
    bedrock.rest["entitlementAvailability"] = "NOT_AVAILABLE"
    with pytest.raises(Refused, match=r"may not call .*: entitlementAvailability is NOT_AVAILABLE"):
        ask()


def test_a_region_that_has_not_the_model_is_refused_unless_a_profile_leads_elsewhere(
    bedrock: Bedrock,
) -> None:
    bedrock.rest["regionAvailability"] = "NOT_AVAILABLE"
    assert endpoint().inference_profile
    assert ask() == []
    with pytest.raises(Refused, match="regionAvailability is NOT_AVAILABLE"):
        ask(inference_profile=None)


def test_an_ambiguous_authorization_error_is_only_a_warning(bedrock: Bedrock) -> None:
    bedrock.rest["authorizationStatus"] = "NOT_AUTHORIZED"
    [warning] = ask()
    assert warning.startswith(f"AWS says NOT_AUTHORIZED of {MODEL} in the account of frankfurt, eu-central-1")


def test_an_account_that_does_not_tell_is_the_surroundings_fault(bedrock: Bedrock) -> None:
    answer: Any = {"Error": {"Code": "AccessDeniedException", "Message": "not allowed"}}
    bedrock.fault = ClientError(answer, "GetFoundationModelAvailability")
    with pytest.raises(
        EnvironmentFault, match=r"does not tell whether it may call.*AccessDeniedException"
    ) as caught:
        ask()
    assert "`bedrock:GetFoundationModelAvailability`" in (caught.value.fix or "")


def test_a_model_is_asked_for_once_in_each_region(bedrock: Bedrock) -> None:
    account = model_access.Account(SITE, sandbox=False)
    for region in (None, "eu-central-1", "eu-west-1"):
        account.may_call(endpoint(region=region))
    assert bedrock.asked == [("eu-central-1", MODEL), ("eu-west-1", MODEL)]
    assert len(bedrock.sessions) == 1


def test_the_account_is_asked_with_the_provider_s_credentials(bedrock: Bedrock) -> None:
    role = "arn:aws:iam::123456789012:role/deploy"
    ask(SITE.model_copy(update={"assume_role": role, "external_id": "seven"}))
    ask(sandbox=True)
    account_session, sandbox = bedrock.sessions
    assert account_session["roles"] == [{"roleArn": role, "sessionName": "isthmus", "externalId": "seven"}]
    assert (account_session["accounts"], account_session["keys"]) == (["123456789012"], None)
    assert (sandbox["accounts"], sandbox["keys"]) == ([], ("sandbox", "sandbox"))
