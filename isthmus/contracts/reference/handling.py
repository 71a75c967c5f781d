"""Handling of data classes: the default table, what regimes add, and stricter tables of an organisation.

An organisation may only make it stricter; regimes add minima and maxima. `None` as
a maximum means no limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from edge.classes import CLASS_DEMANDS, Redacted
from isthmus.contracts.vocabulary import SENSITIVITIES, TARGETS, DnsLabel, Part, Regime, Sensitivity, Target
from isthmus.core.errors import InputError, IsthmusError, Refused, join
from isthmus.core.validation_errors import did_you_mean, known_names

Path = Literal["tls", "mutual-tls", "mutual-tls-private-link", "mutual-tls-named-destinations"]
_PATHS: tuple[Path, ...] = ("tls", "mutual-tls", "mutual-tls-private-link", "mutual-tls-named-destinations")


class Handling(Part):
    """What one class (with a workload's regimes) demands."""

    class_: Sensitivity = Field(alias="class")
    targets: list[Target]
    """Where the class may run."""
    by_exception: list[Target] = []
    """Where it may run only by a recorded exception."""
    path: Path
    """From the least to the most guarded: TLS, mutual TLS, over a private link, named destinations only."""
    profiles_may_leave: bool
    """Whether an inference profile may route outside the residency's regions at all. Never for internal up;
    the residency itself binds every class."""
    own_keys: bool
    """In a cloud, storage is encrypted with keys of the organisation."""
    redacted: list[Redacted]
    records_months_min: int = Field(ge=0)
    """How long audit records are kept at least (who asked what model when, not the words)."""
    records_months_max: int | None = Field(default=None, ge=0)
    """After this they are erased."""
    records_at_hand_months: int = Field(default=0, ge=0)
    """How much of that can be read at once, without a restore."""
    content_days_max: int | None = Field(default=None, ge=0)
    """How long prompts and answers may be kept; None: as the regimes say."""
    chat_history_days: int = Field(ge=0)
    """How long chats keep conversations at most. 0: chats are temporary."""
    corrections_exported: bool = False
    """Whether corrected answers may be exported as a data set (`isthmus audit corrections`)."""
    usage_by_person: bool = False
    """Whether the usage ledger has a person's pseudonym of the month with what they used (`isthmus usage`)."""
    content_encrypted: bool = True
    content_on_prem: bool
    """Prompts and answers are kept on-prem only."""
    erasable: bool
    """One person's content can be erased before its time."""
    sample_rate_min: float = Field(default=0, ge=0, le=1)
    """Part of the answers that a human looks at, whatever the impact."""
    review_low_confidence: bool
    """An answer with a low or missing score goes to a human."""
    approvers: int = Field(ge=1)
    """How many must approve what human review decides."""
    card_authentication_kept: bool = True
    """False: card authentication data (CVV, PIN) is never kept."""
    exit_plan: bool = False
    """An exit plan is required for each provider."""
    provider_register: bool = False
    """Each provider stands in the register of providers."""


def _handling(class_: Sensitivity, **fields: Any) -> Handling:
    """The handling of a class: these fields, and what it demands of the edge."""
    demands = CLASS_DEMANDS[class_]
    return Handling.model_construct(
        class_=class_,
        redacted=list(demands.redacted),
        content_days_max=demands.content_days_max,
        sample_rate_min=demands.sample_rate_min,
        review_low_confidence=demands.review_low_confidence,
        approvers=demands.approvers,
        **fields,
    )


HANDLING: dict[Sensitivity, Handling] = {
    "public": _handling(
        "public",
        targets=list(TARGETS),
        path="tls",
        profiles_may_leave=True,
        own_keys=False,
        records_months_min=6,
        chat_history_days=30,
        corrections_exported=True,
        usage_by_person=True,
        content_on_prem=False,
        erasable=False,
    ),
    "internal": _handling(
        "internal",
        targets=list(TARGETS),
        path="mutual-tls",
        profiles_may_leave=False,
        own_keys=False,
        records_months_min=12,
        chat_history_days=30,
        corrections_exported=True,
        usage_by_person=True,
        content_on_prem=False,
        erasable=False,
    ),
    "confidential": _handling(
        "confidential",
        targets=["onprem-vllm", "eks-vllm", "sagemaker"],
        by_exception=["bedrock"],
        path="mutual-tls-private-link",
        profiles_may_leave=False,
        own_keys=True,
        records_months_min=12,
        chat_history_days=30,
        corrections_exported=True,
        usage_by_person=True,
        content_on_prem=False,
        erasable=False,
    ),
    "restricted": _handling(
        "restricted",
        targets=["onprem-vllm"],
        path="mutual-tls-named-destinations",
        profiles_may_leave=False,
        own_keys=True,
        records_months_min=60,
        chat_history_days=0,
        content_on_prem=True,
        erasable=True,
    ),
}
"""The default table, by class."""

REGIMES: dict[Regime, dict[str, Any]] = {
    "pci-dss": {"records_months_min": 12, "records_at_hand_months": 3, "card_authentication_kept": False},
    "hipaa": {"records_months_min": 72},
    "amlr": {"records_months_min": 60, "records_months_max": 60},
    "ai-act-high-risk": {"records_months_min": 6},
    "gdpr": {"erasable": True},
    "dora": {"exit_plan": True, "provider_register": True},
}
"""What each regime adds. `*_min` are minima, `*_max` maxima, the rest must be so."""


class Exception_(Part):
    """A recorded exception: a class on a target that only an exception opens."""

    workload: DnsLabel = Field(examples=["claim-summaries"])
    """Name of the workload."""
    target: Literal["bedrock"]
    """The target that the exception opens."""
    who: Annotated[str, StringConstraints(min_length=1)] = Field(examples=["Head of information security"])
    """Who granted it."""
    reason: Annotated[str, StringConstraints(min_length=1)] = Field(
        examples=["pilot with synthetic claims, decision 2026-114"]
    )
    """Why it was granted."""
    until: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] = Field(examples=["2027-03-31"])
    """The last day on which it holds."""

    def holds(self, today: str) -> bool:
        """Whether it holds on that day (ISO date)."""
        return today <= self.until


def allowed_targets(class_: Sensitivity) -> tuple[Target, ...]:
    """The targets that a class may use without an exception. An unknown class may use none: `InputError`."""
    return tuple(handling_of(class_).targets)


def may_use_aws(class_: Sensitivity) -> bool:
    """Whether any cloud target is open to the class, by exception or not."""
    handling = handling_of(class_)
    return any(target != "onprem-vllm" for target in (*handling.targets, *handling.by_exception))


def handling_of(class_: str) -> Handling:
    """The default handling of a class; an unknown one is an `InputError`, never a looser class."""
    for sensitivity in SENSITIVITIES:
        if sensitivity == class_:
            return HANDLING[sensitivity]
    raise InputError(
        f"`{class_}` is not a sensitivity",
        fix=known_names(class_, SENSITIVITIES),
    )


def refusal(
    class_: Sensitivity,
    target: Target,
    workloads: Iterable[str] = (),
    exceptions: Iterable[Exception_] = (),
    today: str | None = None,
    handling: Handling | None = None,
) -> str | None:
    """Why the class may not run on the target, or None where it may.

    `handling` is the organisation's for the class; the default's where it is absent.

    A target that needs an exception is open only if every one of `workloads` has one that holds today.
    """
    handling = handling or handling_of(class_)
    if target in handling.targets:
        return None
    allowed = ", ".join(handling.targets)
    if target not in handling.by_exception:
        return f"{class_} work may not run on {target}. Allowed: {allowed}"
    if today is None:
        import datetime

        today = datetime.date.today().isoformat()
    served = list(workloads)
    recorded = list(exceptions)
    without = [
        name
        for name in served
        if not any(
            exception.workload == name and exception.target == target and exception.holds(today)
            for exception in recorded
        )
    ]
    if served and not without:
        return None
    suffix = f" for {', '.join(without)}" if without else ""
    return (
        f"{class_} work may run on {target} by a recorded exception only, and none{suffix} is valid on {today}. "
        f"Allowed without one: {allowed}"
    )


def overlay(class_: Sensitivity, regimes: Iterable[str], base: Handling | None = None) -> Handling:
    """The handling of a class with a workload's regimes laid over it.

    Raises `InputError` on an unknown regime, and where one's minimum exceeds another's maximum.
    """
    handling = base or handling_of(class_)
    values: dict[str, Any] = handling.model_dump(by_alias=True)
    minimum_source = f"class {class_}"
    maximum_source = f"class {class_}"
    for name in regimes:
        if name not in REGIMES:
            raise InputError(
                f"`{name}` is not a known regime",
                fix=known_names(name, sorted(REGIMES)),
            )
        for key, required in REGIMES[name].items():
            if key == "records_months_min" and required > values[key]:
                values[key], minimum_source = required, name
            elif key == "records_months_max" and (values[key] is None or required < values[key]):
                values[key], maximum_source = required, name
            elif key == "records_at_hand_months":
                values[key] = max(values[key], required)
            elif isinstance(required, bool):
                values[key] = required
    maximum = values["records_months_max"]
    if maximum is not None and values["records_months_min"] > maximum:
        raise InputError(
            f"{minimum_source} must keep records for at least {values['records_months_min']} months, "
            f"{maximum_source} at most {maximum}: both cannot hold",
            fix="Split the workload, or remove one of the regimes",
        )
    return Handling.model_validate(values)


# How to tell a looser value from a stricter one, field by field.
_MORE_IS_STRICTER = ("records_months_min", "records_at_hand_months", "sample_rate_min", "approvers")
_LESS_IS_STRICTER = ("records_months_max", "content_days_max", "chat_history_days")
_TRUE_IS_STRICTER = (
    "own_keys",
    "content_encrypted",
    "content_on_prem",
    "erasable",
    "review_low_confidence",
    "exit_plan",
    "provider_register",
)
_FALSE_IS_STRICTER = (
    "profiles_may_leave",
    "card_authentication_kept",
    "corrections_exported",
    "usage_by_person",
)
_FEWER_IS_STRICTER = ("targets", "by_exception")


def looser(key: str, default: Any, value: Any) -> bool:
    """Whether a field's value lets through what another one does not."""
    if key in _MORE_IS_STRICTER:
        return value < default
    if key in _LESS_IS_STRICTER:
        return default is not None and (value is None or value > default)
    if key in _TRUE_IS_STRICTER:
        return default and not value
    if key in _FALSE_IS_STRICTER:
        return value and not default
    if key in _FEWER_IS_STRICTER:
        return bool(set(value) - set(default))
    if key == "redacted":
        return bool(set(default) - set(value))
    return _PATHS.index(value) < _PATHS.index(default)  # path


def stricter_only(table: dict[str, dict[str, Any]]) -> dict[Sensitivity, Handling]:
    """The default table with an organisation's changes: `{class: {field: value}}`.

    Raises `Refused` where a value is looser than the default's, `InputError` on what is not understood;
    both name the field as `handling.CLASS.FIELD`, and carry the other errors.
    """
    result = dict(HANDLING)
    errors: list[IsthmusError] = []
    for class_, changes in table.items():
        try:
            default = handling_of(class_)
        except InputError as error:
            errors.append(InputError(error.what, where=f"handling.{class_}", fix=error.fix))
            continue
        changed, wrong = _stricter(default, class_, changes)
        errors += wrong
        if changed is not None:
            result[default.class_] = changed
    if errors:
        raise join(errors)
    return result


def _stricter(
    default: Handling, class_: str, changes: dict[str, Any]
) -> tuple[Handling | None, list[IsthmusError]]:
    """The changed handling of a class, and what is wrong with the changes; None if a value is invalid."""
    from pydantic import ValidationError

    errors: list[IsthmusError] = []
    values = default.model_dump(by_alias=True)
    fields = [name for name in values if name != "class"]
    for key in changes:
        if key not in fields:
            errors.append(
                InputError(
                    f"unknown key `{key}`",
                    where=f"handling.{class_}.{key}",
                    fix=f"{did_you_mean(key, fields)} Allowed here: {', '.join(fields)}".strip(),
                )
            )
    known = {key: value for key, value in changes.items() if key in fields}
    try:
        changed = Handling.model_validate({**values, **known})
    except ValidationError as error:
        for item in error.errors(include_url=False):
            field = ".".join(str(part) for part in item["loc"])
            errors.append(InputError(item["msg"], where=f"handling.{class_}.{field}"))
        return None, errors
    for key in known:
        default_value, new_value = values[key], getattr(changed, key)
        if looser(key, default_value, new_value):
            errors.append(
                Refused(
                    f"`{new_value}` is looser than the default `{default_value}`",
                    where=f"handling.{class_}.{key}",
                    fix="Remove it, or set a stricter value: an organisation may only make the handling stricter",
                )
            )
    return changed, errors
