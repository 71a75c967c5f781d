"""Where a Bedrock inference profile may route, by the region it is called from.

The rows stand in `inference_profiles.json`, each with its source and date. AWS documents that the
destinations of a geographic profile never change; a new set gets a new id. What is not listed is an
error: no residency is met by a guess.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from isthmus.core.errors import InputError, Refused


@dataclass(frozen=True)
class InferenceProfile:
    """One profile, as seen from one region."""

    profile: str
    source_region: str
    destination_regions: tuple[str, ...]
    """Every region that a request may be served in, sorted."""
    source: str
    """URL of what says so."""
    as_of: str
    """When it said so, ISO date or month."""
    note: str


@functools.cache
def rows() -> tuple[InferenceProfile, ...]:
    """Every known profile from every known region."""
    import json
    from pathlib import Path

    text = Path(__file__).with_name("inference_profiles.json").read_text("utf-8")
    return tuple(
        InferenceProfile(**{**row, "destination_regions": tuple(row["destination_regions"])})
        for row in json.loads(text)
    )


def model_of(profile: str) -> str:
    """The model that a system-defined profile calls: `eu.amazon.nova-lite-v1:0` → `amazon.nova-lite-v1:0`."""
    return profile.partition(".")[2]


def find(profile: str, region: str) -> InferenceProfile:
    """The profile as called from the region.

    Raises `Refused` for a `global.` profile, whose destinations are every commercial region, those to
    come included; `InputError` where the table does not know the profile from there.
    """
    if profile.startswith("global."):
        raise Refused(
            f"the inference profile `{profile}` routes to every commercial region, including future ones",
            fix="Use a geographic profile (`eu.`, `us.`, …), whose destinations are fixed",
        )
    for row in rows():
        if row.profile == profile and row.source_region == region:
            return row
    from isthmus.core.validation_errors import did_you_mean

    profiles = sorted({row.profile for row in rows() if row.source_region == region})
    if any(row.profile == profile for row in rows()):
        regions = sorted(row.source_region for row in rows() if row.profile == profile)
        same_model = [name for name in profiles if model_of(name) == model_of(profile)]
        fix = (
            f"From {region}, use one of: {', '.join(same_model or profiles) or 'none known'}. "
            f"Or call this profile from one of: {', '.join(regions)}"
        )
    elif profiles:
        fix = f"{did_you_mean(profile, profiles)} Known from there: {', '.join(profiles)}".strip()
    else:
        fix = f"Check both names: no inference profile is known from {region}, and none is called `{profile}`"
    raise InputError(
        f"the regions of inference profile `{profile}` called from `{region}` are not known, so residency is unproven",
        fix=fix,
    )


def destinations(profile: str | None, region: str) -> tuple[str, ...]:
    """Every region that a call from `region` may be served in; without a profile the region itself."""
    return find(profile, region).destination_regions if profile else (region,)
