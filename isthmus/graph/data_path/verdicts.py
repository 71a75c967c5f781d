"""Whether a class's data may take a way: its handling, its workloads' residency, and what is known of the place.

What is refused is refused whatever else is unknown; what cannot be known is undecided for every class above public,
whose handling bounds it in nothing but its residency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.platform.model.platform import Platform, Workload
from isthmus.contracts.reference import handling, jurisdictions
from isthmus.contracts.vocabulary import SENSITIVITIES, Sensitivity, Target
from isthmus.core.errors import IsthmusError
from isthmus.graph.data_path.model_services import Served, is_public_host
from isthmus.graph.resources.sites import Place

Word = Literal["allowed", "undecided", "refused"]
WORDS: tuple[Word, ...] = ("allowed", "undecided", "refused")
"""From the best to the worst."""


@dataclass(frozen=True)
class Verdict:
    """What is said of one way, and why where it is not allowed."""

    word: Word = "allowed"
    why: tuple[str, ...] = ()

    def and_(self, *further: Verdict) -> Verdict:
        """The worst of several, with the reasons of the worst kind."""
        verdicts = (self, *further)
        worst = max(verdicts, key=lambda verdict: WORDS.index(verdict.word)).word
        reasons = (why for verdict in verdicts if verdict.word == worst for why in verdict.why)
        return Verdict(worst, tuple(dict.fromkeys(reasons)))


ALLOWED = Verdict()


def refused(why: str) -> Verdict:
    return Verdict("refused", (why,))


def undecided(why: str) -> Verdict:
    return Verdict("undecided", (why,))


class Judge:
    """What a platform, and a day, let the classes do; without a platform the handling alone.

    `held`: workloads that are judged by a stricter class than the one they are served in
    (`isthmus.graph.data_path.declared_policy`).
    """

    def __init__(
        self,
        platform: Platform | None,
        today: str | None,
        stricter_classes: Mapping[str, Sensitivity] | None = None,
    ) -> None:
        self.platform, self._today = platform, today
        self._held: Mapping[str, Sensitivity] = stricter_classes or {}
        self._workloads: dict[str, dict[str, Workload]] = {}
        for gateway in platform.gateways if platform else []:
            self._workloads.setdefault(gateway.class_, {}).update(
                {workload.name: workload for workload in gateway.workloads}
            )

    def held(self, class_: Sensitivity, workload: str) -> Sensitivity:
        """The class by which a workload's own ways are judged: never a looser one than it is served in."""
        before = self._held.get(workload, class_)
        return before if SENSITIVITIES.index(before) > SENSITIVITIES.index(class_) else class_

    def unsure(self, class_: Sensitivity, why: str) -> Verdict:
        """What cannot be known: nothing that public work must be kept from."""
        return ALLOWED if class_ == "public" else undecided(why)

    def known(self, class_: Sensitivity, workload: str) -> Verdict:
        """Whether a workload that a configuration serves is one of the platform's."""
        if self.platform is None or not workload or workload in self._workloads.get(class_, {}):
            return ALLOWED
        return self.unsure(class_, f"the platform names no {class_} workload {workload}")

    def target(self, class_: Sensitivity, target: Target, workload: str) -> Verdict:
        """Whether the class may run on a target, by an exception where its handling asks for one."""
        exceptions = self.platform.exceptions if self.platform else []
        workloads = [workload] if workload else sorted(self._workloads.get(class_, {}))
        strict = self.held(class_, workload)
        why = handling.refusal(strict, target, workloads, exceptions, self._today)
        if why and strict != class_:
            why = f"{workload} is {strict} before this change, and {why}"
        return refused(why) if why else ALLOWED

    def server(self, class_: Sensitivity, where: Place, workload: str) -> Verdict:
        """Whether a model server of ours may stand there."""
        if where.kind:
            target: Target = "onprem-vllm" if where.kind == "on-prem" else "eks-vllm"
            places = {where.jurisdiction: where.name} if where.jurisdiction else {}
            return self.target(class_, target, workload).and_(self.residency(class_, workload, places))
        if handling.refusal(self.held(class_, workload), "eks-vllm") is None:
            return ALLOWED  # wherever its machines are
        return undecided(f"nothing says where the cluster {where.name or 'of its pods'} stands")

    def model(self, class_: Sensitivity, model: Served, workload: str) -> Verdict:
        """Whether a class may call a model of AWS's by this way, wherever it may be served."""
        verdict = self.target(class_, model.service, workload)
        strict = self.held(class_, workload)
        if model.anywhere:
            may_leave = handling.handling_of(strict).profiles_may_leave and not self._residencies(
                class_, workload
            )
            verdict = verdict.and_(ALLOWED if may_leave else refused(model.anywhere))
        if model.unknown:
            unsure = undecided if self._residencies(class_, workload) else None
            verdict = verdict.and_(unsure(model.unknown) if unsure else self.unsure(strict, model.unknown))
        if model.endpoint is None and strict != "public":
            verdict = verdict.and_(_public_call_verdict(model))
        if len(model.regions) > 1 and strict != "public" and self.platform is None:
            over = ", ".join(model.regions)
            verdict = verdict.and_(
                undecided(f"nothing says the residency of {strict} work, and {over} may serve it")
            )
        return verdict.and_(self._regions(class_, model.regions, workload))

    def region(self, class_: Sensitivity, region: str, workload: str = "") -> Verdict:
        """Whether the data may be in a region of AWS's."""
        return self._regions(class_, [region], workload)

    def residency(self, class_: Sensitivity, workload: str, places: dict[str, str]) -> Verdict:
        """Whether jurisdictions, each with the name of what lies in it, meet every residency that binds."""
        verdict = ALLOWED
        for name_of_workload, residency in self._residencies(class_, workload):
            for code, name in sorted(places.items()):
                try:
                    is_met = jurisdictions.meets_residency(code, residency)
                except IsthmusError as error:
                    return undecided(error.what)
                if not is_met:
                    reason = (
                        f"{name} lies in {code}, and {name_of_workload} must stay in {' or '.join(residency)}"
                    )
                    verdict = verdict.and_(refused(reason))
        return verdict

    def _regions(self, class_: Sensitivity, regions: Iterable[str], workload: str) -> Verdict:
        if not self._residencies(class_, workload):
            return ALLOWED
        places: dict[str, str] = {}
        for region in regions:
            try:
                code = jurisdictions.region_jurisdiction(region)
            except IsthmusError as error:
                return undecided(error.what)
            places[code] = f"{places[code]}, {region}" if code in places else region
        return self.residency(class_, workload, places)

    def _residencies(self, class_: Sensitivity, workload: str) -> list[tuple[str, list[str]]]:
        """Whose residency binds, where it asks for anything: the workload's, or each of the class's."""
        workloads = self._workloads.get(class_, {})
        selected = [workloads[workload]] if workload in workloads else list(workloads.values())
        return [
            (workload_entry.name, workload_entry.residency)
            for workload_entry in selected
            if workload_entry.residency
        ]


def _public_call_verdict(model: Served) -> Verdict:
    """A call that goes by no endpoint of ours."""
    if is_public_host(model.url):
        return refused(f"{model.name} is called at {model.url or 'the public name'}, by way of the internet")
    return undecided(f"{model.name} is called at {model.url}, which is no endpoint that is made here")
