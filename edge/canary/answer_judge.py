"""A judge model scores a sample of a release's answers, of both versions and of the shadow, after they have left.

It is a model of the same gateway, so of the same class. A request waits for nothing: the judge is asked in the
background, only while its endpoint has room, and at most as often a day as the platform states. It leaves a sum of
scores in the outcomes of the release (`edge.canary.outcomes`), a pair of audit records of purpose `judge`, and a line
of the journal. No text is kept.

Both versions are sampled alike at each moment, so that no hour of the day counts more for one of them: the limit of a
day ends it for both. While few people have the candidate, a smaller part of the answers in use is judged, so that the
limit is not spent on them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.allowance.estimate import count_answers
from edge.answer_text import MOST_CHARACTERS, AnswerText, conversation_of
from edge.answers import whole_answer
from edge.audit.auditor import Auditor
from edge.canary.background_requests import BackgroundRequests, write_request_line
from edge.canary.outcomes import Counted, Fetches, Outcomes, Sums, Variant
from edge.canary.rubric import MOST_TOKENS, digest_of, grade_of, judge_prompt
from edge.canary.stops import CanaryName
from edge.database import Database, DatabaseDown
from edge.exchange import Exchange
from edge.journal import write_line
from edge.metrics import Metrics
from edge.openai_api import CHAT_PATH
from edge.request_context import RequestContext
from edge.tasks import tasks_of

if TYPE_CHECKING:
    from edge.admission import Slot
    from edge.config.routes import JudgeModel
    from edge.routing import RoutedModel, Upstream

AT_ONCE = 4
"""Answers that one copy of the gateway has judged at once, for all models together."""
IN_USE, IN_USE_TIMES = "in-use", 4
"""So many answers of the version in use are judged for one of the candidate's, as far as there are such. More of them
would hardly make the comparison sharper."""
_TAKE = "SELECT isthmus.release_judge_take($1, $2, $3, $4, $5, $6, $7)"
_FAIL = "SELECT isthmus.release_judge_fail($1, $2, $3, $4, $5, $6, $7)"
_READ = """
SELECT day, rubric, asked, failed, ungraded FROM isthmus.release_judge_days
WHERE (class, site, workload, model, release) = ($1, $2, $3, $4, $5) ORDER BY day, rubric
"""


@dataclass(frozen=True)
class OfGateway:
    """What the judge needs of the gateway."""

    judge_of: Callable[[RoutedModel], RoutedModel | None]
    """The model that judges a model's answers. None: nobody judges them."""
    may_judge: Callable[[RoutedModel, RoutedModel], bool]
    """Whether the first model's workload and the judge's run, and the canary is not stopped, as far as is known."""
    share: Callable[[RoutedModel], float]
    """Percentage of people whom a model's canary serves now."""
    slot: Callable[[RequestContext, RoutedModel], tuple[bool, Slot | None]]
    """Whether the judge's endpoint has room for a request now, and the slot if it has a limit."""
    body: Callable[[RequestContext, Upstream, dict[str, Any]], bytes]
    """The body of a request for an upstream."""
    headers: Callable[[RequestContext], dict[str, str]]
    redacts: Callable[[Upstream], bool]
    """Whether requests are redacted before they go to the upstream, because it is off the site."""


@dataclass(frozen=True)
class JudgedDay:
    """What a release had judged by one rubric on one day (UTC)."""

    day: date
    rubric: str
    """Version of the rubric."""
    asked: int
    """Answers that were taken to be judged."""
    failed: int
    """Those of them for which the judge did not answer."""
    ungraded: int
    """Those of them for which its answer had no grade."""


@dataclass(frozen=True)
class _Case:
    """An answer to judge."""

    answered: RequestContext
    counted: Counted
    rule: JudgeModel
    judge: RoutedModel
    conversation: str
    """What came before the answer."""
    answer: str


async def read_days(connection: Fetches, place: tuple[str, str], name: CanaryName) -> list[JudgedDay]:
    """What a release had judged, by day and rubric. `connection`: with the rights of an operator."""
    return [JudgedDay(**row) for row in await connection.fetch(_READ, *place, *name)]


class AnswerJudge:
    """The judges of one gateway's releases. Belongs to one event loop."""

    def __init__(
        self,
        gateway: OfGateway,
        key: bytes,
        database: Database,
        place: tuple[str, str],
        outcomes: Outcomes,
        metrics: Metrics,
        auditor: Auditor | None,
        limit_s: float,
    ) -> None:
        """
        Args:
            gateway: what is needed of it.
            key: the same in every copy of the gateway.
            database: counts what is judged, for all copies together.
            place: class and site.
            outcomes: of the gateway's releases.
            metrics: of the gateway.
            auditor: writes the records. None: there are none.
            limit_s: for one answer, in seconds.
        """
        self._gateway, self._database, self._place = gateway, database, place
        self._outcomes, self._metrics = outcomes, metrics
        self._key = hmac.digest(key, b"isthmus judge 1", hashlib.sha256)
        self._requests = BackgroundRequests(auditor, limit_s, AT_ONCE)

    def watch(self, context: RequestContext, variant: Variant, *, is_mirrored: bool = False) -> None:
        """Have the answer judged after its end, if it is in the sample. `is_mirrored`: the shadow answers it too."""
        model, rule = context.routed_model, _rule_of(context.routed_model)
        if rule is None or context.task.sent_to != CHAT_PATH or count_answers(context.payload) != 1:
            return
        if self._place_in_sample(context.exchange) >= self._rate(rule, model, variant, is_mirrored):
            return
        context.answer_text = AnswerText()
        context.exchange.end_notes.append(partial(self._begin, context, variant, rule))

    async def close(self) -> None:
        """End what is judged now, with its records."""
        await self._requests.close()

    def _place_in_sample(self, exchange: Exchange) -> float:
        """From 0 to 1: the same for a request and its copy, so that both answers are judged or none."""
        digest = hmac.digest(self._key, (exchange.mirrors or exchange.request_id).encode(), hashlib.sha256)
        return int.from_bytes(digest[:8], "big") / 2**64

    def _rate(self, rule: JudgeModel, model: RoutedModel, variant: Variant, is_mirrored: bool) -> float:
        """Part of the answers that is judged."""
        rate, canary = rule.percent / 100, model.route.canary
        if variant != IN_USE or is_mirrored:
            return rate
        share = self._gateway.share(model)
        if share:
            return rate * min(1.0, IN_USE_TIMES * share / max(100 - share, 0.001))
        return 0.0 if canary is not None and canary.shadow_percent else rate

    def _begin(self, answered: RequestContext, variant: Variant, rule: JudgeModel) -> None:
        """Start to judge an answer that has ended. Does not wait."""
        exchange, model = answered.exchange, answered.routed_model
        answer, judge = answered.answer_text, self._gateway.judge_of(model)
        if (
            judge is None
            or exchange.code != "ok"
            or exchange.fallback
            or answer is None
            or not answer.is_text
        ):
            return
        if not self._gateway.may_judge(model, judge):
            return
        conversation = conversation_of(answered.payload)
        if conversation is None or len(conversation) + len(answer.text) > MOST_CHARACTERS:
            return
        if not self._requests.has_room:
            self._metrics.judged_answer(exchange.workload, exchange.model, "dropped")
            return
        answered.answer_text = None
        counted = self._outcomes.counted(model, exchange.person, answered.payload, variant)
        self._requests.start(self._judge(_Case(answered, counted, rule, judge, conversation, answer.text)))

    async def _judge(self, case: _Case) -> None:
        """Ask the judge within the limit of the day, and count the score."""
        outcome = await self._outcome(case)
        self._metrics.judged_answer(case.counted.release.workload, case.counted.release.model, outcome)

    async def _outcome(self, case: _Case) -> str:
        counted, rule, judge = case.counted, case.rule, case.judge
        version = digest_of(rule.rubric)
        name = (*self._place, *counted.release, version)
        question = judge_prompt(case.conversation, case.answer, rule.rubric)
        context = self._context(case.answered, judge, question, version)
        upstream, has_room = judge.spare_upstream(""), False
        if not self._gateway.redacts(upstream):
            has_room, context.slot = self._gateway.slot(context, judge)
        refused = await self._why_not(name, rule) if has_room else "dropped"
        if refused or not case.answer.strip():
            await context.end(None, lambda span, exchange: None)
        if refused:
            return refused
        # An empty answer is wrong, as in an evaluation.
        grade = await self._grade(context, upstream) if case.answer.strip() else 0.0
        if grade is not None:
            self._outcomes.add(counted, Sums(judged=1, judged_score=grade))
            return "judged"
        outcome = "failed" if context.exchange.code != "ok" else "ungraded"
        try:
            await self._database.fetch(_FAIL, *name, outcome)
        except DatabaseDown:
            write_line("judge_uncounted", workload=counted.release.workload, outcome=outcome)
        return outcome

    async def _why_not(self, name: tuple[str, ...], rule: JudgeModel) -> str:
        """The outcome of an answer that may not be judged now. Empty: it may, and counts in the limit of the day."""
        try:
            [row] = await self._database.fetch(_TAKE, *name, rule.per_day)
        except DatabaseDown:
            return "dropped"
        return "" if row["release_judge_take"] else "limited"

    async def _grade(self, context: RequestContext, upstream: Upstream) -> float | None:
        """The judge's score. None: it gave none."""
        texts: list[str] = []

        async def ask() -> None:
            body = self._gateway.body(context, upstream, context.payload)
            offered = context.offer(upstream, body, self._gateway.headers(context), fresh=False)
            call = await context.deadline.wait(offered)
            context.exchange.status = 200
            texts.extend(_graded_text(await whole_answer(context, call.response)))

        await self._requests.send(context, upstream, ask)
        exchange = context.exchange
        write_request_line("judged", exchange, judges=exchange.judges, rubric=exchange.rubric)
        return grade_of(texts[0]) if exchange.code == "ok" and texts else None

    def _context(
        self, answered: RequestContext, judge: RoutedModel, question: str, version: str
    ) -> RequestContext:
        """The request to the judge. Its records name the workload that is judged."""
        of = answered.exchange
        exchange = Exchange(
            "POST",
            path=CHAT_PATH,
            workload=of.workload,
            team=of.team,
            identity=of.identity,
            model=judge.route.called,
            judges=of.request_id,
            rubric=version,
        )
        payload = {
            "model": judge.route.called,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": MOST_TOKENS,
            "temperature": 0.0,
        }
        caller = replace(answered.caller, workload=judge.route.workload)
        return self._requests.context(exchange, caller, tasks_of(judge.route)[0], judge, payload, None)


def judge_of(model: RoutedModel, models: Callable[[str], Mapping[str, RoutedModel]]) -> RoutedModel | None:
    """The model that judges a model's answers. None: nobody judges them. `models`: of a workload, by name."""
    rule = _rule_of(model)
    return None if rule is None else models(rule.workload)[rule.workload]


def _graded_text(answer: Mapping[str, Any]) -> list[str]:
    """The text of a judge's answer. Empty if it was cut, because the grade is in its last line."""
    choice = (answer.get("choices") or [{}])[0]
    text = (choice.get("message") or {}).get("content")
    return [text] if isinstance(text, str) and choice.get("finish_reason") != "length" else []


def _rule_of(model: RoutedModel) -> JudgeModel | None:
    canary = model.route.canary
    return None if canary is None else canary.judge
