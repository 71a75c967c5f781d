"""Finds changes of classes, handling and placements between two commits, and whether they loosen the rules.

A change *loosens* if it allows something that was refused before. If that is unclear, it counts as loosening.
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


def file_changes(
    base_files: tuple[Requirements, Plan] | None, head_files: tuple[Requirements, Plan] | None
) -> Iterator[RuleChange]:
    """Rule changes between the requirements and plans of two commits; None means that the commit lacks the stack."""
    base, head = (files[0] if files else None for files in (base_files, head_files))
    yield from _class_changes(base, head)
    if base is not None and head is not None:
        for workload in head.workloads:
            if (old := base.workload(workload.name)) is not None:
                yield from _workload_changes(old, workload)
        yield from _site_changes(base, head)
    yield from _exception_changes(base.exceptions if base else [], head.exceptions if head else [])
    if base_files is not None and head_files is not None:
        yield from _placement_changes(base_files, head_files)


def handling_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RuleChange]:
    """Changes of the handling of each class, from code and organisation of two commits."""
    for class_ in SENSITIVITIES:
        old_class, new_class = before.get(class_) or {}, after.get(class_) or {}
        for key in sorted({*old_class, *new_class} - {"class"}):
            old, new = old_class.get(key), new_class.get(key)
            if old_class and new_class and old != new:
                loosens = key not in old_class or key not in new_class or handling.looser(key, old, new)
                yield _rule_change("handling", f"{class_}.{key}", old, new, loosens)


def _class_changes(before: Requirements | None, after: Requirements | None) -> Iterator[RuleChange]:
    old_classes = {workload.name: workload.sensitivity for workload in (before.workloads if before else [])}
    new_classes = {workload.name: workload.sensitivity for workload in (after.workloads if after else [])}
    removed_classes = {name: class_ for name, class_ in old_classes.items() if name not in new_classes}
    for name in sorted({*old_classes, *new_classes}):
        old, new = old_classes.get(name), new_classes.get(name)
        if old == new:
            continue
        if old is None and new is not None:
            stricter = [
                removed_name
                for removed_name in sorted(removed_classes)
                if _rank(removed_classes[removed_name]) > _rank(new)
            ]
            if stricter:
                removed = ", ".join(
                    f"{removed_classes[removed_name]} as {removed_name}, which goes"
                    for removed_name in stricter
                )
                yield _rule_change("sensitivity", f"{name}, maybe {UNDER_ANOTHER_NAME}", removed, new, True)
                continue
        yield _rule_change("sensitivity", name, old, new, bool(old and new) and _rank(new) < _rank(old))


def _rank(class_: Any) -> int:
    return SENSITIVITIES.index(class_)


def _workload_changes(old: Workload, new: Workload) -> Iterator[RuleChange]:
    """Changes of one workload's residency, regimes, impact, overflow and review."""
    name = new.name
    if sorted(old.residency or []) != sorted(new.residency or []):
        wider = not _is_narrower(new.residency, old.residency)
        yield _rule_change(
            "handling", f"{name}: residency", old.residency or "any", new.residency or "any", wider
        )
    if set(old.regimes) != set(new.regimes):
        loosens = bool(set(old.regimes) - set(new.regimes))
        yield _rule_change("handling", f"{name}: regimes", sorted(old.regimes), sorted(new.regimes), loosens)
    if old.impact != new.impact:
        lower = _IMPACTS.index(new.impact) < _IMPACTS.index(old.impact)
        yield _rule_change("handling", f"{name}: impact", old.impact, new.impact, lower)
    if old.allow_overflow != new.allow_overflow:
        yield _rule_change(
            "handling", f"{name}: allow_overflow", old.allow_overflow, new.allow_overflow, new.allow_overflow
        )
    if old.allow_fallback != new.allow_fallback:
        yield _rule_change(
            "handling", f"{name}: allow_fallback", old.allow_fallback, new.allow_fallback, new.allow_fallback
        )
    reviews = [workload.review.model_dump(mode="json") if workload.review else {} for workload in (old, new)]
    for key in sorted({*reviews[0], *reviews[1]}):
        old_value, new_value = (review.get(key) for review in reviews)
        if old_value != new_value:
            # `domain` is a name. All other fields are amounts of review; a lower amount is looser.
            loosens = not reviews[1] or (
                key != "domain" and old_value is not None and (new_value is None or new_value < old_value)
            )
            yield _rule_change("handling", f"{name}: review.{key}", old_value, new_value, loosens)


def _is_narrower(new: Sequence[str] | None, old: Sequence[str] | None) -> bool:
    """Whether every jurisdiction in `new` is allowed by `old`; an empty `old` allows all."""
    if not old:
        return True
    return bool(new) and all(
        any(jurisdictions.is_within(jurisdiction, allowed) for allowed in old) for jurisdiction in new or []
    )


def _site_changes(before: Requirements, after: Requirements) -> Iterator[RuleChange]:
    """Changes of a site's kind, jurisdiction and allowed services."""
    for new in after.sites:
        old = before.site(new.name)
        if old is None:
            continue
        old_place, new_place = (f"{site.kind} in {site.jurisdiction}" for site in (old, new))
        if old_place != new_place:
            yield _rule_change("handling", f"site {new.name}", old_place, new_place, True)
        allowed = [sorted(getattr(site, "allow", None) or []) for site in (old, new)]
        if allowed[0] != allowed[1]:
            loosens = bool(set(allowed[1]) - set(allowed[0]))
            yield _rule_change("handling", f"site {new.name}: allow", allowed[0], allowed[1], loosens)


def _exception_changes(before: Sequence[Exception_], after: Sequence[Exception_]) -> Iterator[RuleChange]:
    """Changes of exceptions. A new or longer exception loosens."""
    old_exceptions, new_exceptions = (
        {(exception.workload, exception.target): exception for exception in exceptions}
        for exceptions in (before, after)
    )
    for key in sorted({*old_exceptions, *new_exceptions}):
        old, new = old_exceptions.get(key), new_exceptions.get(key)
        if old != new:
            loosens = new is not None and (old is None or new.until > old.until)
            subject = f"{key[0]}: {key[1]} by exception"
            yield _rule_change(
                "handling", subject, old and _exception_text(old), new and _exception_text(new), loosens
            )


def _exception_text(exception: Exception_) -> str:
    return f"until {exception.until} by {exception.who}: {exception.reason}"


def _placement_changes(
    before: tuple[Requirements, Plan], after: tuple[Requirements, Plan]
) -> Iterator[RuleChange]:
    """Workloads that are served at other places than before."""
    for workload in after[0].workloads:
        old_places, new_places = (
            _serving_places(workload.name, *before),
            _serving_places(workload.name, *after),
        )
        if not old_places or old_places == new_places:
            continue
        widest_target = max(TARGETS.index(place[0]) for place in old_places)
        known_locations = {place[2] for place in old_places}
        loosens = any(
            TARGETS.index(target) > widest_target
            or not any(_lies_within(location, known) for known in known_locations)
            for target, _, location in new_places
        )
        texts = [
            ", ".join(f"{target} at {site} ({place})" for target, site, place in places)
            for places in (old_places, new_places)
        ]
        yield _rule_change("placement", workload.name, texts[0], texts[1], loosens)


def _serving_places(workload: str, requirements: Requirements, plan: Plan) -> list[tuple[Any, str, str]]:
    """Target, site and jurisdictions of every endpoint that may serve a workload, sorted."""
    places = set()
    for placement in plan.placements:
        endpoint = plan.endpoint(placement.endpoint) if placement.workload == workload else None
        if endpoint is None:
            continue
        site = requirements.site(endpoint.site)
        location = site.jurisdiction if site else "unknown"
        if endpoint.inference_profile:
            region = endpoint.region or getattr(site, "region", "")
            try:
                regions = inference_profiles.destinations(endpoint.inference_profile, region)
                location = " ".join(
                    sorted({jurisdictions.region_jurisdiction(region_name) for region_name in regions})
                )
            except IsthmusError:
                location = "anywhere"
        places.add((endpoint.target, endpoint.site, location))
    return sorted(places, key=lambda place: (TARGETS.index(place[0]), *place))


def _lies_within(location: str, container: str) -> bool:
    """Whether every jurisdiction of one location is within the other; an unknown one is within itself only."""
    try:
        return location == container or all(
            any(jurisdictions.is_within(part, whole_part) for whole_part in container.split())
            for part in location.split()
        )
    except IsthmusError:
        return False


def _rule_change(kind: Any, subject: str, old: Any, new: Any, loosens: bool) -> RuleChange:
    return RuleChange(kind=kind, what=subject, old=_text(old), new=_text(new), loosens=loosens)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)
