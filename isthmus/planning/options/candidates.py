"""Finds all options of each workload, and the reason why each other place is rejected.

Reasons are kept in the order in which places were tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.reference import inference_profiles
from isthmus.contracts.requirements.document import AwsSite
from isthmus.core.errors import FieldError, InputError
from isthmus.core.validation_errors import did_you_mean, locate
from isthmus.planning.catalogues import aws_instances, bedrock, fixed_prices, models
from isthmus.planning.options import bedrock as bedrock_options
from isthmus.planning.options import gpu as gpu_options
from isthmus.planning.options.option import Case, Options, Rules

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.workloads import Candidate
    from isthmus.core.yaml_documents import PathOf


def find_options(requirements: Requirements, rules: Rules) -> Options:
    """Return all options. Raises `InputError` for every fault that `catalogue_faults` finds."""
    if (wrong := locate(requirements.document, catalogue_faults(requirements))) is not None:
        raise wrong
    options = Options(rules)
    for workload in requirements.workloads:
        options.by_workload[workload.name], options.rejected[workload.name] = [], []
        for candidate in workload.model.candidates:
            base = candidate.base or candidate.id
            for precision, score in candidate.scores.items():
                case = Case(requirements, rules, workload, candidate.id, precision, score, options, base)
                if score < workload.model.min_score and case.holds("min_score"):
                    minimum = f"below the minimum of {workload.model.min_score:g}"
                    case.reject(f"{candidate.id} at {precision} scores {score:g}, {minimum}")
                elif precision == "api":
                    bedrock_options.add_bedrock_options(case)
                else:
                    gpu_options.add_gpu_options(case)
    return options


def catalogue_faults(requirements: Requirements) -> Iterator[FieldError]:
    """Every name of a model, price, latency or quota that the catalogues lack, and every price that cannot be read.

    Such a name would have no effect. `requirements` may lack values that are invalid (`core.skipped_checks`): what
    depends on them is left out.
    """
    sites = [
        (index, site)
        for index, site in enumerate(getattr(requirements, "sites", ()))
        if isinstance(site, AwsSite) and all(hasattr(site, key) for key in _SITE_KEYS)
    ]
    for index, site in sites:
        yield from _wrong_quotas(site, index)
        yield from _wrong_prices(site, index)
        yield from _wrong_latencies(site, index)
    bases: dict[str, str] = {}
    for index, workload in enumerate(getattr(requirements, "workloads", ())):
        model = getattr(workload, "model", None)
        for number, candidate in enumerate(getattr(model, "candidates", ())):
            place = ("workloads", index, "model", "candidates", number)
            if hasattr(candidate, "id") and hasattr(candidate, "base"):
                yield from _wrong_model(candidate, bases, [site for _, site in sites], place)


_SITE_KEYS = ("region", "quotas", "prices", "latency")


def _wrong_model(
    candidate: Candidate, bases: dict[str, str], sites: Sequence[AwsSite], place: PathOf
) -> Iterator[FieldError]:
    """The catalogue has the model whose layers a candidate has, and a candidate has one such model everywhere."""
    if candidate.base is None:
        if candidate.id not in models.ids() and bedrock.bedrock_id(candidate.id) is None:
            yield _unknown_model(candidate.id, sites, (*place, "id"))
            return
    elif candidate.base not in models.ids():
        yield _unknown_model(candidate.base, sites, (*place, "base"))
        return
    elif candidate.id in models.ids() or candidate.id in bedrock.ids():
        yield FieldError(
            f"`{candidate.id}` is a model of the catalogue, so it cannot be tuned from `{candidate.base}`",
            *(*place, "base"),
            fix="Remove `base`, or give your tuned model another id",
        )
        return
    base = bases.setdefault(candidate.id, candidate.base or candidate.id)
    if base != (candidate.base or candidate.id):
        yield FieldError(
            f"`{candidate.id}` has two different bases: `{base}` in another workload and `{candidate.base}` here",
            *(*place, "base"),
            fix="Use the same base in both places",
        )


def _unknown_model(id: str, sites: Sequence[AwsSite], place: PathOf) -> FieldError:
    """The error with the nearest model that can be planned: an open one, or one with a price at a site."""
    callable_ids = {
        model for site in sites for model in bedrock.ids() if _can_be_called(model, site.region, site.prices)
    }
    suggestion = did_you_mean(id, [*models.ids(), *sorted(callable_ids)])
    return FieldError(
        f"the model `{id}` is not in the catalogue, so it cannot be sized",
        *place,
        fix=f"{suggestion} `isthmus models` lists what can be planned. For a model of your own, set `base` to the model"
        " that it was tuned from".strip(),
    )


def _can_be_called(model: str, region: str, prices: dict[str, Any]) -> bool:
    try:
        return bool(bedrock.calls(model, region, prices))
    except InputError:
        return False  # The wrong price has an error of its own.


def _wrong_quotas(site: AwsSite, index: int) -> Iterator[FieldError]:
    for name in site.quotas:
        quota = bedrock_quotas.parse_quota_name(name)
        if quota and not any(
            quota.holds_for(model, quota.kind, crossing=quota.crossing) for model in bedrock.ids()
        ):
            yield FieldError(
                f"the quota `{name}` does not match any model of the catalogue",
                *("sites", index, "quotas", name),
                fix="Use the name from AWS Service Quotas (Amazon Bedrock), or remove the quota",
            )


def _callable_names() -> set[str]:
    """Models and inference profiles of Bedrock."""
    return {*bedrock.ids(), *(profile.profile for profile in inference_profiles.rows())}


def _wrong_prices(site: AwsSite, index: int) -> Iterator[FieldError]:
    calls, items = _callable_names(), fixed_prices.item_names()
    for name in site.prices:
        place = ("sites", index, "prices", name)
        if name in calls or name in items or aws_instances.is_priceable(name):
            yield from _wrong_price(name, site, place)
            continue
        known = sorted({*calls, *aws_instances.priceable_names(), *items})
        yield _unknown_name(
            name, known, "a model, an inference profile, an instance or a fixed part of an AWS site", place
        )


def _wrong_price(name: str, site: AwsSite, place: PathOf) -> Iterator[FieldError]:
    """A price that cannot be read, even if no plan needs it."""
    try:
        if name in fixed_prices.item_names():
            fixed_prices.unit_price(name, site.region, site.prices)
        elif aws_instances.is_priceable(name):
            aws_instances.check_site_price(name, site.prices[name])
        else:
            bedrock.site_price(site.prices, name)
    except InputError as error:
        yield FieldError(error.what, *place, fix=error.fix)


def _wrong_latencies(site: AwsSite, index: int) -> Iterator[FieldError]:
    calls = _callable_names()
    for name in site.latency:
        place = ("sites", index, "latency", name)
        if name not in calls:
            yield _unknown_name(name, sorted(calls), "a model or an inference profile", place)
            continue
        try:
            bedrock_options.stated_latency(site, name)
        except InputError as error:
            yield FieldError(error.what, *place, fix=error.fix)


def _unknown_name(name: str, known: Sequence[str], expected: str, place: PathOf) -> FieldError:
    return FieldError(
        f"`{name}` is not the name of {expected}",
        *place,
        fix=did_you_mean(name, known) or "Correct the name, or remove the entry",
    )
