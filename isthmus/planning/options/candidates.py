"""Every way that each workload could run, and why not the rest: what its demands leave open, place by place.

Whatever is ruled out is kept with its reason, in the order in which it was tried.
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


def find(requirements: Requirements, rules: Rules) -> Options:
    """Every option. Raises `InputError` for a model that no catalogue knows, or a site's price that is none."""
    _prices_are_of_something(requirements)
    found, bases = Options(rules), dict[str, str]()
    for index, workload in enumerate(requirements.workloads):
        found.by_workload[workload.name], found.rejected[workload.name] = [], []
        for number, candidate in enumerate(workload.model.candidates):
            base = _base(candidate, bases, f"workloads.{index}.model.candidates.{number}")
            for precision, score in candidate.scores.items():
                case = Case(requirements, rules, workload, candidate.id, precision, score, found, base)
                if score < workload.model.min_score and case.holds("min_score"):
                    floor = f"below the floor of {workload.model.min_score:g}"
                    case.reject(f"{candidate.id} at {precision} scores {score:g}, {floor}")
                elif precision == "api":
                    bedrock_options.find(case)
                else:
                    gpu_options.find(case)
    return found


def _base(candidate: Candidate, bases: dict[str, str], where: str) -> str:
    """The catalogue's model whose layers a candidate has. Raises `InputError` where that is not known, or not one."""
    if candidate.base is None:
        if candidate.id not in models.ids() and bedrock.named(candidate.id) is None:
            _unknown(candidate.id, f"{where}.id")
    elif candidate.base not in models.ids():
        _unknown(candidate.base, f"{where}.base")
    elif candidate.id in models.ids() or candidate.id in bedrock.ids():
        raise InputError(
            f"`{candidate.id}` is in the catalogue itself, and was not tuned from `{candidate.base}`",
            where=f"{where}.base",
            fix="Take it out, or give the model of your own a name of its own",
        )
    base = bases.setdefault(candidate.id, candidate.base or candidate.id)
    if base != (candidate.base or candidate.id):
        raise InputError(
            f"`{candidate.id}` is tuned from `{base}` in one place and from `{candidate.base}` in another",
            where=f"{where}.base",
            fix="Say the same in both",
        )
    return base


def _unknown(id: str, where: str) -> None:
    from isthmus.core.validation_errors import did_you_mean

    raise InputError(
        f"the model `{id}` is in no catalogue",
        where=where,
        fix=f"{did_you_mean(id, [*models.ids(), *bedrock.ids()])} Without known layers it cannot be sized: of a model "
        "of your own say `base`, the model that it was tuned from".strip(),
    )


def _quotas_are_of_something(site: AwsSite, where: str) -> None:
    """No quota of Bedrock is of a model that nobody knows: it would hold nothing. Raises `InputError`."""
    for name in site.quotas:
        of = bedrock_quotas.quota(name)
        if of and not any(of.holds_for(each, of.kind, crossing=of.crossing) for each in bedrock.ids()):
            raise InputError(
                f"the quota `{name}` is of no model of the catalogue",
                where=f"{where}.quotas.{name}",
                fix="Write it as AWS does (Service Quotas, Amazon Bedrock), or take it out",
            )


def _prices_are_of_something(requirements: Requirements) -> None:
    """No price or latency of the organisation's own stands under a name that nothing reads. Raises `InputError`."""
    for index, site in enumerate(requirements.sites):
        if not isinstance(site, AwsSite):
            continue
        _quotas_are_of_something(site, f"sites.{index}")
        calls = {*bedrock.ids(), *(each.profile for each in inference_profiles.rows())}
        for key, given, buys in (("prices", site.prices, True), ("latency", site.latency, False)):
            for name in given:
                if name in calls or (
                    buys and (aws_instances.priced(name) or name in fixed_prices.item_names())
                ):
                    if buys:
                        _check_price(name, site, f"sites.{index}.prices.{name}")
                    continue
                from isthmus.core.validation_errors import did_you_mean

                known = sorted(
                    {*calls, *((*aws_instances.names(), *fixed_prices.item_names()) if buys else ())}
                )
                what = (
                    "a model, an inference profile, an instance or a fixed part of an AWS site"
                    if buys
                    else "a model or an inference profile"
                )
                raise InputError(
                    f"`{name}` is not the name of {what}",
                    where=f"sites.{index}.{key}.{name}",
                    fix=did_you_mean(name, known) or "Correct it, or take it out",
                )


def _check_price(name: str, site: AwsSite, where: str) -> None:
    """Raises `InputError` with the place of a price that cannot be read, also where no plan needs it."""
    try:
        if name in fixed_prices.item_names():
            fixed_prices.unit_price(name, site.region, site.prices)
        elif aws_instances.priced(name):
            aws_instances.check_given(name, site.prices[name])
        else:
            bedrock.given_price(site.prices, name)
    except InputError as error:
        raise InputError(error.what, where=where, fix=error.fix) from None
