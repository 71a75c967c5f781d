"""Jurisdictions, how they nest, and where AWS regions lie. Data only; what is unknown is an error.

Codes are ISO 3166-1 alpha-2 in lower case (`uk` for the United Kingdom), and the unions `eu` and `eea`.
"""

from __future__ import annotations

from isthmus.core.errors import InputError

_EU = """at be bg cy cz de dk ee es fi fr gr hr hu ie it lt lu lv mt nl pl pt ro se si sk"""
_EEA_ONLY = "is li no"
_IN_NO_UNION = """ae ar au bh br ca ch cl cn co hk id il in jp ke kr kw mx my ng nz ph qa rs sa sg th tr tw ua uk
            us vn za"""

PARENTS: dict[str, str | None] = {
    **dict.fromkeys(_EU.split(), "eu"),
    **dict.fromkeys(_EEA_ONLY.split(), "eea"),
    **dict.fromkeys(_IN_NO_UNION.split()),
    "eu": "eea",
    "eea": None,
}
"""Every known code and the union it lies in. Switzerland and the United Kingdom lie in none."""

AWS_REGIONS: dict[str, str] = {
    "af-south-1": "za",
    "ap-east-1": "hk",
    "ap-east-2": "tw",
    "ap-northeast-1": "jp",
    "ap-northeast-2": "kr",
    "ap-northeast-3": "jp",
    "ap-south-1": "in",
    "ap-south-2": "in",
    "ap-southeast-1": "sg",
    "ap-southeast-2": "au",
    "ap-southeast-3": "id",
    "ap-southeast-4": "au",
    "ap-southeast-5": "my",
    "ap-southeast-6": "nz",
    "ap-southeast-7": "th",
    "ca-central-1": "ca",
    "ca-west-1": "ca",
    "eu-central-1": "de",
    "eu-central-2": "ch",
    "eu-north-1": "se",
    "eu-south-1": "it",
    "eu-south-2": "es",
    "eu-west-1": "ie",
    "eu-west-2": "uk",
    "eu-west-3": "fr",
    "eusc-de-east-1": "de",
    "il-central-1": "il",
    "me-central-1": "ae",
    "me-south-1": "bh",
    "mx-central-1": "mx",
    "sa-east-1": "br",
    "us-east-1": "us",
    "us-east-2": "us",
    "us-gov-east-1": "us",
    "us-gov-west-1": "us",
    "us-west-1": "us",
    "us-west-2": "us",
}
"""AWS region → the country it stands in. Names mislead: `eu-west-2` and `eu-central-2` are outside the EU."""


def check_code(code: str) -> str:
    """The code itself; an unknown one is an `InputError` with the nearest name."""
    if code not in PARENTS:
        from isthmus.core.validation_errors import did_you_mean

        hint = did_you_mean(code, PARENTS)
        raise InputError(
            f"`{code}` is not a known jurisdiction",
            fix=hint or "Use an ISO country code in lower case (`uk` for the United Kingdom), `eu` or `eea`",
        )
    return code


def is_within(place: str, area: str) -> bool:
    """Whether the jurisdiction `place` lies in `wanted` (or is it). An unknown code is an `InputError`."""
    check_code(area)
    current: str | None = check_code(place)
    while current is not None:
        if current == area:
            return True
        current = PARENTS[current]
    return False


def areas_around(residency: list[str]) -> list[str]:
    """The unions in which every place of a residency lies, the smallest first; empty if there is none."""
    around: list[list[str]] = []
    for code in residency:
        areas: list[str] = []
        area = PARENTS[check_code(code)]
        while area is not None:
            areas.append(area)
            area = PARENTS[area]
        around.append(areas)
    return [area for area in (around[0] if around else []) if all(area in areas for areas in around)]


def meets_residency(place: str, residency: list[str]) -> bool:
    """Whether data at `place` meets a residency: an empty one asks for nothing, else any of it will do."""
    answers = [is_within(place, code) for code in residency]  # all of them: an unknown code must not pass
    return not residency or any(answers)


def region_jurisdiction(region: str) -> str:
    """The jurisdiction of an AWS region. Raises `InputError` on an unknown one: never a guess."""
    if region not in AWS_REGIONS:
        from isthmus.core.validation_errors import did_you_mean

        hint = did_you_mean(region, AWS_REGIONS)
        raise InputError(
            f"`{region}` is not an AWS region whose jurisdiction is known",
            fix=hint or "Use a region of the table in docs/contracts.md",
        )
    return AWS_REGIONS[region]
