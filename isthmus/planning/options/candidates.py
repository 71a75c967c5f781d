"""Finds all options of each workload, and the reason why each other place is rejected.

Reasons are kept in the order in which places were tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.reference import inference_profiles
from isthmus.contracts.requirements.document import AwsSite
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import aws_instances, bedrock, fixed_prices, models
from isthmus.planning.options import bedrock as bedrock_options
from isthmus.planning.options import gpu as gpu_options
from isthmus.planning.options.option import Case, Options, Rules

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.workloads import Candidate


def find_options(requirements: Requirements, rules: Rules) -> Options:
    """Return all options. Raises `InputError` for an unknown model, or a price of a site that cannot be read."""
    _check_price_names(requirements)
    options, bases = Options(rules), dict[str, str]()
    for index, workload in enumerate(requirements.workloads):
        options.by_workload[workload.name], options.rejected[workload.name] = [], []
        for number, candidate in enumerate(workload.model.candidates):
            place = f"workloads.{index}.model.candidates.{number}"
            base = _base_model(candidate, bases, requirements, place)
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


def _base_model(candidate: Candidate, bases: dict[str, str], requirements: Requirements, where: str) -> str:
    """Return the catalogue's model whose layers a candidate has. Raises `InputError` if it is unknown or ambiguous."""
    if candidate.base is None:
        if candidate.id not in models.ids() and bedrock.bedrock_id(candidate.id) is None:
            _raise_unknown_model(candidate.id, requirements, f"{where}.id")
    elif candidate.base not in models.ids():
        _raise_unknown_model(candidate.base, requirements, f"{where}.base")
    elif candidate.id in models.ids() or candidate.id in bedrock.ids():
        raise InputError(
            f"`{candidate.id}` is a model of the catalogue, so it cannot be tuned from `{candidate.base}`",
            where=f"{where}.base",
            fix="Remove `base`, or give your tuned model another id",
        )
    base = bases.setdefault(candidate.id, candidate.base or candidate.id)
    if base != (candidate.base or candidate.id):
        raise InputError(
            f"`{candidate.id}` has two different bases: `{base}` in another workload and `{candidate.base}` here",
            where=f"{where}.base",
            fix="Use the same base in both places",
        )
    return base


def _raise_unknown_model(id: str, requirements: Requirements, where: str) -> None:
    """Raise `InputError` with the nearest model that can be planned: an open one, or one with a price at a site."""
    from isthmus.core.validation_errors import did_you_mean

    callable_ids = {
        model
        for site in requirements.sites
        if isinstance(site, AwsSite)
        for model in bedrock.ids()
        if bedrock.calls(model, site.region, site.prices)
    }
    suggestion = did_you_mean(id, [*models.ids(), *sorted(callable_ids)])
    raise InputError(
        f"the model `{id}` is not in the catalogue, so it cannot be sized",
        where=where,
        fix=f"{suggestion} `isthmus models` lists what can be planned. For a model of your own, set `base` to the model"
        " that it was tuned from".strip(),
    )


def _check_quota_names(site: AwsSite, where: str) -> None:
    """Raises `InputError` for a Bedrock quota of an unknown model, which would have no effect."""
    for name in site.quotas:
        quota = bedrock_quotas.parse_quota_name(name)
        if quota and not any(
            quota.holds_for(model, quota.kind, crossing=quota.crossing) for model in bedrock.ids()
        ):
            raise InputError(
                f"the quota `{name}` does not match any model of the catalogue",
                where=f"{where}.quotas.{name}",
                fix="Use the name from AWS Service Quotas (Amazon Bedrock), or remove the quota",
            )


def _check_price_names(requirements: Requirements) -> None:
    """Raises `InputError` for a price or a latency under an unknown name, which would have no effect."""
    for index, site in enumerate(requirements.sites):
        if not isinstance(site, AwsSite):
            continue
        _check_quota_names(site, f"sites.{index}")
        calls = {*bedrock.ids(), *(profile.profile for profile in inference_profiles.rows())}
        for key, entries, is_price in (("prices", site.prices, True), ("latency", site.latency, False)):
            for name in entries:
                if name in calls or (
                    is_price and (aws_instances.is_priceable(name) or name in fixed_prices.item_names())
                ):
                    if is_price:
                        _check_price(name, site, f"sites.{index}.prices.{name}")
                    continue
                from isthmus.core.validation_errors import did_you_mean

                known_names = sorted(
                    {
                        *calls,
                        *((*aws_instances.priceable_names(), *fixed_prices.item_names()) if is_price else ()),
                    }
                )
                expected = (
                    "a model, an inference profile, an instance or a fixed part of an AWS site"
                    if is_price
                    else "a model or an inference profile"
                )
                raise InputError(
                    f"`{name}` is not the name of {expected}",
                    where=f"sites.{index}.{key}.{name}",
                    fix=did_you_mean(name, known_names) or "Correct the name, or remove the entry",
                )


def _check_price(name: str, site: AwsSite, where: str) -> None:
    """Raises `InputError` for a price that cannot be read, even if no plan needs it."""
    try:
        if name in fixed_prices.item_names():
            fixed_prices.unit_price(name, site.region, site.prices)
        elif aws_instances.is_priceable(name):
            aws_instances.check_site_price(name, site.prices[name])
        else:
            bedrock.site_price(site.prices, name)
    except InputError as error:
        raise InputError(error.what, where=where, fix=error.fix) from None
