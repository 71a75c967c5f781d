"""Which languages a Bedrock guardrail filters by its tier, and in which regions the Standard tier looks at content.

Sources: Amazon Bedrock user guide, "Safeguard tiers for guardrails policies" and "Supported Regions for cross-Region
guardrail inference" (read 2026-11). The page's table of the EU could be read in part only; its six regions are those of
a public IAM policy that was tried on an account (2026-07).
"""

from __future__ import annotations

from isthmus.core.errors import InputError

CLASSIC_LANGUAGES = ("en", "fr", "es")
"""What the Classic tier knows. The Standard tier knows some sixty."""
_EU = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
_US = ("us-east-1", "us-east-2", "us-west-2")
PROFILES: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(_EU, ("eu.guardrail.v1:0", _EU)),
    **dict.fromkeys(_US, ("us.guardrail.v1:0", _US)),
    "us-west-1": ("us.guardrail.v1:0", (*_US, "us-west-1")),
}
"""By the guardrail's region: the profile of its geography, and every region in which content may be looked at."""


def languages_without_filter(languages: list[str]) -> list[str]:
    """Of some languages, those that the Classic tier does not filter."""
    return [language for language in languages if language.partition("-")[0] not in CLASSIC_LANGUAGES]


def guardrail_profile(region: str) -> tuple[str, tuple[str, ...]]:
    """The guardrail profile of a region and where it may look at content. Raises `InputError` for an unknown region."""
    if region not in PROFILES:
        raise InputError(
            f"the regions of a Standard tier guardrail are not known for {region}",
            fix=f"Known: {', '.join(sorted(PROFILES))}. Set `tier: classic` in other regions",
        )
    return PROFILES[region]
