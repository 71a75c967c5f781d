"""Creates a Bedrock guardrail and its numbered version. It filters in addition to the boundary."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import aws_name
from components.base.argument_checks import MODES, check_choice
from isthmus.contracts.reference import guardrail_tiers
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean

PII = (
    *("ADDRESS", "AGE", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "CA_HEALTH_NUMBER", "CA_SOCIAL_INSURANCE_NUMBER"),
    *("CREDIT_DEBIT_CARD_CVV", "CREDIT_DEBIT_CARD_EXPIRY", "CREDIT_DEBIT_CARD_NUMBER", "DRIVER_ID", "EMAIL"),
    *("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "IP_ADDRESS", "LICENSE_PLATE", "MAC_ADDRESS", "NAME", "PASSWORD"),
    *("PHONE", "PIN", "SWIFT_CODE", "UK_NATIONAL_HEALTH_SERVICE_NUMBER", "UK_NATIONAL_INSURANCE_NUMBER"),
    *("UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER", "URL", "USERNAME", "US_BANK_ACCOUNT_NUMBER"),
    *("US_BANK_ROUTING_NUMBER", "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", "US_PASSPORT_NUMBER"),
    *("US_SOCIAL_SECURITY_NUMBER", "VEHICLE_IDENTIFICATION_NUMBER"),
)
"""Kinds of personal data that guardrails support (API model of `CreateGuardrail`, botocore, 2026-11)."""
UNFILTERED = ("embed", "rerank", "sonic")
"""Parts of ids of models without guardrail support (user guide, supported models for guardrails, read 2026-11)."""
GUARDRAIL_PATTERN = r"[a-z0-9]+|arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+):[0-9]*:guardrail/[a-z0-9]+"
TIERS = ("classic", "standard")
STRENGTHS = ("none", "low", "medium", "high")
_CONTENT = ("HATE", "INSULTS", "SEXUAL", "VIOLENCE", "MISCONDUCT")


class GuardrailPii(TypedDict):
    """The action of a guardrail for one kind of personal data, in prompts and answers."""

    name: str
    """Bedrock's name for it, e.g. EMAIL."""
    action: str
    """`block`: refuse the request or answer. `anonymize`: mask the data only."""


class GuardrailSettings(TypedDict):
    """The guardrail that every call of a class must use."""

    mode: str
    """`manage`: created here. `existing`: the organisation's, named below. `off`: none."""
    guardrail_id: NotRequired[str]
    """`existing`: its id or ARN."""
    version: NotRequired[str]
    """`existing`: number of its version. Not DRAFT, which can change."""
    earlier_versions: NotRequired[list[str]]
    """Further versions that calls may use during a rollout."""
    pii: NotRequired[list[GuardrailPii]]
    """Kinds of personal data that it detects."""
    attack_strength: NotRequired[str]
    """Filter on prompts that attack the model's instructions: low, medium or high (default)."""
    content_strength: NotRequired[str]
    """Filters on hate, insults, sexual content, violence and misconduct: none, low, medium (default), high."""
    grounding: NotRequired[float]
    """Minimum score of grounding and relevance, 0 to 0.99. Absent: no check."""
    blocked_message: NotRequired[str]
    """Message that replaces blocked text."""
    tier: NotRequired[str]
    """`classic` (default): English, French, Spanish. `standard`: most languages, in any region of the geography."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the key that encrypts its settings. Absent: AWS's own. The key's policy must allow the calling role."""


@dataclass(frozen=True)
class GuardrailInUse:
    """A guardrail as calls identify it."""

    arn: pulumi.Output[str]
    version: pulumi.Output[str]
    earlier: tuple[str, ...] = ()
    profiles: tuple[pulumi.Input[str], ...] = ()
    """ARNs of the guardrail profile in each region in which content may be checked."""

    def identifiers(self) -> list[pulumi.Output[str]]:
        """Values of the condition key `bedrock:GuardrailIdentifier`: ARN and version, joined by a colon."""
        versions = (self.version, *map(pulumi.Output.from_input, self.earlier))
        return [pulumi.Output.concat(self.arn, ":", version) for version in versions]


def guardrail_arguments(settings: GuardrailSettings, where: str) -> dict[str, Any]:
    """Checked arguments of the guardrail, on which its version depends."""
    attack = check_choice(
        settings.get("attack_strength", "high"), STRENGTHS[1:], f"{where}.attack_strength"
    ).upper()
    content = check_choice(
        settings.get("content_strength", "medium"), STRENGTHS, f"{where}.content_strength"
    ).upper()
    # An answer cannot attack the model's instructions, so AWS accepts NONE only.
    filters = [{"type": "PROMPT_ATTACK", "input_strength": attack, "output_strength": "NONE"}]
    if content != "NONE":
        filters += [
            {"type": kind, "input_strength": content, "output_strength": content} for kind in _CONTENT
        ]
    message = settings.get("blocked_message", "This request was blocked by policy.")
    if not 1 <= len(message) <= 500:
        raise InputError(
            f"a message of {len(message)} characters",
            where=f"{where}.blocked_message",
            fix="Use 1 to 500 characters",
        )
    arguments: dict[str, Any] = {
        "blocked_input_messaging": message,
        "blocked_outputs_messaging": message,
        "content_policy_config": {"filters_configs": filters},
    }
    if check_choice(settings.get("tier", "classic"), TIERS, f"{where}.tier") == "standard":
        arguments["content_policy_config"]["tier_configs"] = [{"tier_name": "STANDARD"}]
    if settings.get("pii"):
        arguments["sensitive_information_policy_config"] = {
            "pii_entities_configs": _pii(settings.get("pii", []), f"{where}.pii")
        }
    min_score = settings.get("grounding")
    if min_score is not None:
        if not 0 <= min_score <= 0.99:
            raise InputError(f"a score of {min_score}", where=f"{where}.grounding", fix="Set it to 0 to 0.99")
        kinds = ("GROUNDING", "RELEVANCE")
        arguments["contextual_grounding_policy_config"] = {
            "filters_configs": [{"type": kind, "threshold": min_score} for kind in kinds]
        }
    return arguments


ArnIn = Callable[[str, str], pulumi.Input[str]]
"""Returns an ARN from region, and kind and id (`guardrail/ID`)."""


def guardrail(
    name: str,
    settings: GuardrailSettings,
    where: str,
    region: str,
    arn_in: ArnIn,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> GuardrailInUse | None:
    """The guardrail of one class in one region, created or existing. None if it is off."""
    mode = check_choice(settings["mode"], MODES, f"{where}.mode")
    earlier = tuple(
        _check_version(version, f"{where}.earlier_versions")
        for version in settings.get("earlier_versions", [])
    )
    if mode == "off":
        return None
    if mode == "existing":
        existing_version = _existing_version(settings, where)
        existing_arn = _existing_arn(settings, where, region, arn_in)
        return GuardrailInUse(
            pulumi.Output.from_input(existing_arn), pulumi.Output.from_input(existing_version), earlier
        )
    arguments = guardrail_arguments(settings, where)
    profile_arns = _profile_arns(settings, region, arn_in)
    arn, version = _create(name, settings, arguments, region, profile_arns, tags, opts)
    return GuardrailInUse(arn, version, earlier, tuple(profile_arns[1:]))


def _existing_version(settings: GuardrailSettings, where: str) -> str:
    if not settings.get("guardrail_id"):
        raise InputError(
            "mode is existing, but guardrail_id is missing",
            where=where,
            fix="Set guardrail_id to the guardrail's id or ARN",
        )
    return _check_version(settings.get("version", ""), f"{where}.version")


def _existing_arn(settings: GuardrailSettings, where: str, region: str, arn_in: ArnIn) -> pulumi.Input[str]:
    """ARN of the organisation's guardrail, which must be in this region."""
    guardrail_id = settings.get("guardrail_id", "")
    match = re.fullmatch(GUARDRAIL_PATTERN, guardrail_id)
    if match is None:
        raise InputError(
            f"'{guardrail_id}' is not a guardrail's id or ARN",
            where=f"{where}.guardrail_id",
            fix="Write it like a1b2c3d4e5f6 or arn:aws:bedrock:eu-central-1:123456789012:guardrail/a1b2c3d4e5f6",
        )
    if not match["region"]:
        return arn_in(region, f"guardrail/{guardrail_id}")
    if match["region"] != region:
        raise InputError(
            f"the guardrail {guardrail_id} is not in region {region}",
            where=f"{where}.guardrail_id",
            fix="Use a guardrail of the region in which the models are called",
        )
    return guardrail_id


def _profile_arns(settings: GuardrailSettings, region: str, arn_in: ArnIn) -> list[pulumi.Input[str]]:
    """ARNs of the guardrail profile in the region and in each region to which it may route. Empty in the Classic
    tier.

    The Classic tier checks content in the region itself, the Standard tier in any region of the profile.
    """
    if settings.get("tier") != "standard":
        return []
    profile, regions = guardrail_tiers.guardrail_profile(region)
    return [arn_in(profile_region, f"guardrail-profile/{profile}") for profile_region in (region, *regions)]


def _create(
    name: str,
    settings: GuardrailSettings,
    arguments: dict[str, Any],
    region: str,
    profile_arns: list[pulumi.Input[str]],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Create `NAME-guardrail` and `NAME-version`. Returns ARN and version.

    The version's description contains a digest of the settings, so that a change creates a new version. The old
    version stays, because pods still use it during a rollout. It is deleted with the guardrail.
    """
    from pulumi_aws import bedrock

    cross_region: dict[str, Any] = {}
    if profile_arns:
        # By its ARN: AWS returns the ARN even if the id was set, and every run would show a change.
        cross_region = {"cross_region_config": {"guardrail_profile_identifier": profile_arns[0]}}
    guardrail_resource = bedrock.Guardrail(
        f"{name}-guardrail",
        name=aws_name(f"{name}-guardrail", 50),
        description=f"Prompts and answers of {tags.get('isthmus.dev/class', 'one')} work",
        region=region,
        kms_key_arn=settings.get("kms_key"),
        tags=tags,
        opts=opts,
        **arguments,
        **cross_region,
    )
    version = bedrock.GuardrailVersion(
        f"{name}-version",
        guardrail_arn=guardrail_resource.guardrail_arn,
        description=f"Settings {digest(arguments)}",
        region=region,
        # The new version is created before the old one would be deleted. AWS keeps 20 (quotas of Bedrock, 2026-11).
        skip_destroy=True,
        opts=opts,
    )
    return guardrail_resource.guardrail_arn, version.version


def digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _pii(kinds: list[GuardrailPii], where: str) -> list[dict[str, str]]:
    names = [kind["name"] for kind in kinds]
    for index, kind in enumerate(kinds):
        if kind["name"] not in PII:
            raise InputError(
                f"'{kind['name']}' is not a kind of personal data that Bedrock knows",
                where=f"{where}.{index}",
                fix=did_you_mean(kind["name"], PII) or f"Known: {', '.join(PII)}",
            )
        if names.count(kind["name"]) > 1:
            raise InputError(
                f"'{kind['name']}' is listed twice", where=f"{where}.{index}", fix="Remove one of the entries"
            )
        check_choice(kind["action"], ("block", "anonymize"), f"{where}.{index}.action")
    # Sorted by name, so that the same settings in another order create no new version.
    ordered = sorted(kinds, key=lambda kind: kind["name"])
    return [{"type": kind["name"], "action": kind["action"].upper()} for kind in ordered]


def _check_version(version: str, where: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,7}", version):
        raise InputError(
            f"'{version}' is not a numbered version",
            where=where,
            fix="Publish one (aws bedrock create-guardrail-version); DRAFT may be changed under its callers",
        )
    return version
