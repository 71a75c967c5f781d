"""What a change does to what judges it: classes, handling and placements of a stack's files, before and after.

A change that lets through what was refused before *loosens*; where that cannot be told, it is said to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reference import handling, inference_profiles, jurisdictions
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.vocabulary import SENSITIVITIES, TARGETS
from isthmus.core.errors import IsthmusError
from policies.release.change import UNDER_ANOTHER_NAME

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.reference.handling import Exception_
    from isthmus.contracts.requirements.document import Requirements, Workload

_IMPACTS = ("low", "material", "high")


def of_files(
    before: tuple[Requirements, Plan] | None, after: tuple[Requirements, Plan] | None
) -> Iterator[RuleChange]:
    """What differs between two commits' requirements and plan of a stack; None: the commit has no such stack."""
    was, will = (each[0] if each else None for each in (before, after))
    yield from _classes(was, will)
    if was is not None and will is not None:
        for each in will.workloads:
            if (old := was.workload(each.name)) is not None:
                yield from _workload(old, each)
        yield from _sites(was, will)
    yield from _exceptions(was.exceptions if was else [], will.exceptions if will else [])
    if before is not None and after is not None:
        yield from _placements(before, after)


def of_tables(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RuleChange]:
    """What each class demands, by the code and the organisation of two commits."""
    for class_ in SENSITIVITIES:
        was, will = before.get(class_) or {}, after.get(class_) or {}
        for key in sorted({*was, *will} - {"class"}):
            old, new = was.get(key), will.get(key)
            if was and will and old != new:
                loosens = key not in was or key not in will or handling.looser(key, old, new)
                yield _change("handling", f"{class_}.{key}", old, new, loosens)


def _classes(before: Requirements | None, after: Requirements | None) -> Iterator[RuleChange]:
    was = {each.name: each.sensitivity for each in (before.workloads if before else [])}
    will = {each.name: each.sensitivity for each in (after.workloads if after else [])}
    gone = {name: class_ for name, class_ in was.items() if name not in will}
    for name in sorted({*was, *will}):
        old, new = was.get(name), will.get(name)
        if old == new:
            continue
        if old is None and new is not None:
            stricter = [each for each in sorted(gone) if _rank(gone[each]) > _rank(new)]
            if stricter:
                told = ", ".join(f"{gone[each]} as {each}, which goes" for each in stricter)
                yield _change("sensitivity", f"{name}, maybe {UNDER_ANOTHER_NAME}", told, new, True)
                continue
        yield _change("sensitivity", name, old, new, bool(old and new) and _rank(new) < _rank(old))


def _rank(class_: Any) -> int:
    return SENSITIVITIES.index(class_)


def _workload(old: Workload, new: Workload) -> Iterator[RuleChange]:
    """What binds one workload's data and answers, its class apart."""
    name = new.name
    if sorted(old.residency or []) != sorted(new.residency or []):
        wider = not _within(new.residency, old.residency)
        yield _change("handling", f"{name}: residency", old.residency or "any", new.residency or "any", wider)
    if set(old.regimes) != set(new.regimes):
        less = bool(set(old.regimes) - set(new.regimes))
        yield _change("handling", f"{name}: regimes", sorted(old.regimes), sorted(new.regimes), less)
    if old.impact != new.impact:
        lower = _IMPACTS.index(new.impact) < _IMPACTS.index(old.impact)
        yield _change("handling", f"{name}: impact", old.impact, new.impact, lower)
    if old.allow_overflow != new.allow_overflow:
        yield _change(
            "handling", f"{name}: allow_overflow", old.allow_overflow, new.allow_overflow, new.allow_overflow
        )
    reviews = [each.review.model_dump(mode="json") if each.review else {} for each in (old, new)]
    for key in sorted({*reviews[0], *reviews[1]}):
        was, will = (each.get(key) for each in reviews)
        if was != will:
            # Who reviews is a name; the figures say how much is reviewed, and the less the looser.
            less = not reviews[1] or (key != "domain" and was is not None and (will is None or will < was))
            yield _change("handling", f"{name}: review.{key}", was, will, less)


def _within(new: Sequence[str] | None, old: Sequence[str] | None) -> bool:
    """Whether wherever the one lets data be, the other lets it be too."""
    if not old:
        return True
    return bool(new) and all(any(jurisdictions.within(each, wide) for wide in old) for each in new or [])


def _sites(before: Requirements, after: Requirements) -> Iterator[RuleChange]:
    """Where sites lie and what may be used there: what is said of a place decides who may be there."""
    for new in after.sites:
        old = before.site(new.name)
        if old is None:
            continue
        was, will = (f"{each.kind} in {each.jurisdiction}" for each in (old, new))
        if was != will:
            yield _change("handling", f"site {new.name}", was, will, True)
        allowed = [sorted(getattr(each, "allow", None) or []) for each in (old, new)]
        if allowed[0] != allowed[1]:
            more = bool(set(allowed[1]) - set(allowed[0]))
            yield _change("handling", f"site {new.name}: allow", allowed[0], allowed[1], more)


def _exceptions(before: Sequence[Exception_], after: Sequence[Exception_]) -> Iterator[RuleChange]:
    """Each opens a target to a workload until a day: a new one, or one that lasts longer, opens it further."""
    was, will = ({(each.workload, each.target): each for each in side} for side in (before, after))
    for key in sorted({*was, *will}):
        old, new = was.get(key), will.get(key)
        if old != new:
            longer = new is not None and (old is None or new.until > old.until)
            what = f"{key[0]}: {key[1]} by exception"
            yield _change("handling", what, old and _excepted(old), new and _excepted(new), longer)


def _excepted(of: Exception_) -> str:
    return f"until {of.until} by {of.who}: {of.reason}"


def _placements(before: tuple[Requirements, Plan], after: tuple[Requirements, Plan]) -> Iterator[RuleChange]:
    """Workloads that are served elsewhere than before."""
    for workload in after[0].workloads:
        was, will = _places(workload.name, *before), _places(workload.name, *after)
        if not was or was == will:
            continue
        guarded = max(TARGETS.index(each[0]) for each in was)
        known = {each[2] for each in was}
        less = any(
            TARGETS.index(target) > guarded or not any(_lies(place, wide) for wide in known)
            for target, _, place in will
        )
        told = [
            ", ".join(f"{target} at {site} ({place})" for target, site, place in each) for each in (was, will)
        ]
        yield _change("placement", workload.name, told[0], told[1], less)


def _places(workload: str, requirements: Requirements, plan: Plan) -> list[tuple[Any, str, str]]:
    """Target, site and regions or jurisdiction of every endpoint that a workload's requests may come to, sorted."""
    found = set()
    for each in plan.placements:
        endpoint = plan.endpoint(each.endpoint) if each.workload == workload else None
        if endpoint is None:
            continue
        site = requirements.site(endpoint.site)
        place = site.jurisdiction if site else "unknown"
        if endpoint.inference_profile:
            region = endpoint.region or getattr(site, "region", "")
            try:
                reached = inference_profiles.destinations(endpoint.inference_profile, region)
                place = " ".join(sorted({jurisdictions.of_region(one) for one in reached}))
            except IsthmusError:
                place = "anywhere"
        found.add((endpoint.target, endpoint.site, place))
    return sorted(found, key=lambda each: (TARGETS.index(each[0]), *each))


def _lies(place: str, wide: str) -> bool:
    """Whether every jurisdiction of a place lies in one of another; what is not known lies nowhere but in itself."""
    try:
        return place == wide or all(
            any(jurisdictions.within(one, other) for other in wide.split()) for one in place.split()
        )
    except IsthmusError:
        return False


def _change(kind: Any, what: str, old: Any, new: Any, loosens: bool) -> RuleChange:
    return RuleChange(kind=kind, what=what, old=_text(old), new=_text(new), loosens=loosens)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)
