"""Asks test cases with Inspect AI: `python inspect_program.py`, with the spec on standard input.

It runs under the interpreter of the environment `inspect`, with `answer_checks.py` beside it and the module
`edge.canary.rubric`, and imports nothing else of the project. The spec is JSON, made by
`isthmus.engine.evaluation.running`. For each case that is done it appends a line to the file of outcomes, without any
content, and prints a line of progress. Exit code 0: every case was asked, or the budget is used up. Exit code 3: the
gateway cannot be asked, and the last line says why.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RETRIES = 3
"""Attempts after the first one, for a model that is busy or fails."""
ANSWER_S, CONNECT_S = 300.0, 10.0
"""Seconds that an answer and a connection may take."""
VARIANT_HEADER = "x-isthmus-variant"
NO_ANSWER = frozenset({400, 413, 422, 500, 502, 503, 504})
"""Statuses that are the model's or the policy's answer to one case. Others say that nobody can be asked."""
TOO_MANY = 429
REFUSALS = frozenset({"400 content_blocked", "400 content_filter", "422 may_not_leave"})
"""Refusals of a request by a rule. Other answers with these statuses say that the request does not fit the model."""


class Stopped(Exception):
    """The run ends: its budget is used up, or the gateway cannot be asked."""


class Ledger:
    """Counts what a run has taken, and writes its outcomes."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._file = Path(spec["outcomes"])
        self._tokens, self._most = 0, spec["tokens"]
        self._end = time.monotonic() + spec["seconds"]
        self._done = 0
        self._lock = threading.Lock()
        self.fault = ""
        """Why the gateway cannot be asked; empty: it can."""
        self.is_over = False
        """Whether the budget is used up."""
        self.unanswered: dict[str, int] = {}
        """How many cases stay without an outcome, by the error."""

    def check(self) -> None:
        """Raise `Stopped` if no further case may be asked."""
        if self._tokens >= self._most or time.monotonic() > self._end:
            self.is_over = True
        if self.fault or self.is_over:
            raise Stopped

    def check_fault(self) -> None:
        """Raise `Stopped` if the gateway cannot be asked."""
        if self.fault:
            raise Stopped

    @contextmanager
    def noting_faults(self) -> Iterator[None]:
        """End the run by any fault of the program, which Inspect AI would only log."""
        try:
            yield
        except Stopped:
            raise
        except Exception as fault:
            # The text of an error may repeat the question.
            self.fault = self.fault or f"a case could not be asked: {type(fault).__name__}"
            raise

    def leave(self, error: str, tokens: int) -> None:
        """Leave a case unanswered, so that the next run asks it again. `tokens`: those that it took in vain."""
        with self._lock:
            self._tokens += tokens
            self.unanswered[error] = self.unanswered.get(error, 0) + 1

    def take(self, outcome: dict[str, Any], judged_tokens: int) -> None:
        """Write an outcome."""
        line = json.dumps(outcome) + "\n"
        with self._lock:
            self._tokens += outcome["prompt_tokens"] + outcome["completion_tokens"] + judged_tokens
            self._done += 1
            with self._file.open("a", encoding="utf-8") as file:
                file.write(line)
            print(json.dumps({"done": self._done, "tokens": self._tokens}), flush=True)


def run(spec: dict[str, Any]) -> int:
    """Ask all cases of the spec. Returns the exit code."""
    from inspect_ai import Task, eval  # pyright: ignore[reportMissingImports]
    from inspect_ai.dataset import MemoryDataset, Sample  # pyright: ignore[reportMissingImports]

    ledger = Ledger(spec)
    models = {name: _model(access, ledger) for name, access in spec["models"].items()}
    tasks = []
    for task in spec["tasks"]:
        dataset = MemoryDataset(
            [
                Sample(
                    input=[_message(message) for message in case["messages"]], id=case["id"], metadata=case
                )
                for case in task["cases"]
            ]
        )
        tasks.append(
            Task(
                dataset=dataset,
                solver=_ask(task, models[task["version"]], ledger),
                scorer=_score(task, models.get("judge"), ledger),
                name=f"{task['name']}-{task['version']}",
            )
        )
    if not tasks:
        return 0
    eval(
        tasks,
        model=None,
        display="none",
        log_dir=spec["logs"],
        log_format="json",
        log_samples=spec["keeps_answers"],
        log_realtime=False,
        log_model_api=False,
        fail_on_error=False,
        continue_on_fail=True,
        max_samples=spec["parallel"],
        max_tasks=1,
    )
    if ledger.fault:
        print(json.dumps({"fault": ledger.fault}), flush=True)
        return 3
    print(json.dumps({"over": ledger.is_over, "unanswered": ledger.unanswered}), flush=True)
    return 0


def _model(access: dict[str, Any], ledger: Ledger) -> Any:
    """The model of a gateway's workload."""
    from inspect_ai.model import GenerateConfig, get_model  # pyright: ignore[reportMissingImports]
    from openai import DefaultAsyncHttpxClient, Timeout  # pyright: ignore[reportMissingImports]

    async def check_variant(response: Any) -> None:
        # Any other key gets an answer of the version in use, or of people. That would be scored as the candidate's.
        answered = response.headers.get(VARIANT_HEADER)
        if response.status_code < 300 and answered != access["variant"]:
            ledger.fault = f"the key in {access['key']} is not for evaluations"
            if answered is not None:
                ledger.fault = f"the gateway asked {answered}, not {access['variant']}"

    tls = ssl.create_default_context(cafile=access["ca"])
    if access["certificate"]:
        tls.load_cert_chain(access["certificate"], access["certificate_key"])
    return get_model(
        f"openai-api/gateway/{access['workload']}",
        base_url=access["url"].rstrip("/") + "/v1",
        api_key=Path(access["key"]).read_text("utf-8").strip(),
        http_client=DefaultAsyncHttpxClient(
            verify=tls,
            trust_env=False,
            timeout=Timeout(ANSWER_S, connect=CONNECT_S),
            event_hooks={"response": [check_variant]},
        ),
        max_retries=0,
        config=GenerateConfig(temperature=0.0, extra_headers=access["headers"], max_retries=0),
        memoize=False,
    )


def _message(message: dict[str, str]) -> Any:
    from inspect_ai.model import (  # pyright: ignore[reportMissingImports]
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
    )

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return kinds[message["role"]](content=message["content"])


def _ask(task: dict[str, Any], model: Any, ledger: Ledger) -> Any:
    from inspect_ai.model import GenerateConfig  # pyright: ignore[reportMissingImports]
    from inspect_ai.solver import solver  # pyright: ignore[reportMissingImports]
    from inspect_ai.tool import ToolInfo  # pyright: ignore[reportMissingImports]

    @solver
    def ask() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            tools = [_tool(ToolInfo, entry) for entry in state.metadata.get("tools", [])]
            began = time.monotonic()
            config = GenerateConfig(max_tokens=task["max_tokens"])
            with ledger.noting_faults():
                output, error = await _generate(model, state.messages, tools, config, ledger)
            state.metadata["took"] = time.monotonic() - began
            state.metadata["error"] = error
            if output is not None:
                state.output = output
            return state

        return solve

    return ask()


def _tool(kind: Any, entry: dict[str, Any]) -> Any:
    """A tool of OpenAI's form, as Inspect AI has it."""
    function = entry.get("function", entry)
    parameters = {"type": "object", "properties": {}, **function.get("parameters", {})}
    return kind(name=function["name"], description=function.get("description", ""), parameters=parameters)


async def _generate(
    model: Any, messages: Any, tools: list[Any], config: Any, ledger: Ledger
) -> tuple[Any, str | None]:
    """The output, or why there is none: a status and the gateway's code. Raises `Stopped`."""
    import asyncio

    from openai import APIConnectionError, APIStatusError, APITimeoutError  # pyright: ignore[reportMissingImports]

    error = ""
    for attempt in range(RETRIES + 1):
        ledger.check()
        try:
            output = await _generate_once(model, messages, tools, config)
            ledger.check_fault()
            # Inspect AI makes an output of these refusals.
            if output.stop_reason == "model_length":
                return None, "400 context_length_exceeded"
            if output.stop_reason == "content_filter":
                return None, "400 content_filter"
            return output, None
        except APITimeoutError as fault:
            error = "timeout"
            if "Connect" in type(fault.__cause__).__name__:
                ledger.fault = "the gateway cannot be reached: no connection in time"
        except APIConnectionError as fault:
            ledger.fault = f"the gateway cannot be reached: {fault.__cause__ or fault}"
        except APIStatusError as fault:
            code = getattr(fault, "code", None) or "without a code"
            error = f"{fault.status_code} {code}"
            if fault.status_code not in (*NO_ANSWER, TOO_MANY):
                ledger.fault = f"the gateway answers {error}: {_message_of(fault)}"
            elif fault.status_code < TOO_MANY:
                return None, error
            if fault.status_code == TOO_MANY and attempt == RETRIES:
                how = "lower --parallel, or raise the key's allowance"
                ledger.fault = f"the gateway answers {error}, again and again: {how}"
            ledger.check()
            if attempt < RETRIES:
                await asyncio.sleep(_wait(fault, attempt))
        ledger.check()
    return None, error


async def _generate_once(model: Any, messages: Any, tools: list[Any], config: Any) -> Any:
    """The output. Raises what the client raised: Inspect AI wraps it, and its own errors repeat the question."""
    from openai import APIError  # pyright: ignore[reportMissingImports]

    try:
        return await model.generate(messages, tools=tools, config=config)
    except Exception as raised:
        fault: BaseException | None = raised
        while fault is not None and not isinstance(fault, APIError):
            attempt = getattr(fault, "last_attempt", None)  # of tenacity's RetryError
            fault = attempt.exception() if attempt is not None else fault.__cause__
        if fault is None:
            raise
    raise fault


def _wait(fault: Any, attempt: int) -> float:
    """Seconds before the next attempt: those that the gateway states, else half a second, doubled each time."""
    try:
        return min(float(fault.response.headers["retry-after"]), 60.0)
    except (KeyError, ValueError):
        return 0.5 * 2**attempt


def _message_of(fault: Any) -> str:
    body = fault.body if isinstance(fault.body, dict) else {}
    return str(body.get("message") or fault.message)[:200]


def _score(task: dict[str, Any], judge: Any, ledger: Ledger) -> Any:
    import answer_checks as checks  # pyright: ignore[reportMissingImports] (beside this file)
    import rubric  # pyright: ignore[reportMissingImports] (`edge.canary.rubric`)
    from inspect_ai.model import ChatMessageUser, GenerateConfig  # pyright: ignore[reportMissingImports]
    from inspect_ai.scorer import Score, mean, scorer  # pyright: ignore[reportMissingImports]

    @scorer(metrics=[mean()], name=task["check"])
    def score() -> Any:
        async def measure(state: Any, target: Any) -> Any:
            del target
            with ledger.noting_faults():
                return Score(value=await score_case(state))

        async def score_case(state: Any) -> float:
            case, error = state.metadata, state.metadata["error"]
            answer = _answer(state.output, error in REFUSALS)
            if error is None and not answer.text.strip() and not answer.calls:
                error = "empty answer"
            value, judged_tokens = 0.0, 0
            if task["check"] == "rubric":
                if error is None:
                    value, error, judged_tokens = await judge_answer(case, answer)
            elif error is None or (answer.refused and task["check"] == "refusal"):
                value, error = checks.SCORES[task["check"]](answer, case), None
            prompt, completion = _tokens(state.output)
            if error is not None and _is_to_ask_again(error, task["version"]):
                ledger.leave(error, prompt + completion + judged_tokens)
                return 0.0
            outcome = {
                "task": task["name"],
                "case": case["id"],
                "version": task["version"],
                "score": value,
                "error": error,
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "seconds": round(case["took"], 4),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            ledger.take(outcome, judged_tokens)
            return value

        async def judge_answer(case: dict[str, Any], answer: Any) -> tuple[float, str | None, int]:
            asked, expected = _conversation_of(case), checks.expected_text(case)
            question = rubric.judge_prompt(asked, answer.text, task["rubric"], expected)
            config = GenerateConfig(max_tokens=rubric.MOST_TOKENS)
            output, fault = await _generate(judge, [ChatMessageUser(content=question)], [], config, ledger)
            if output is None:
                return 0.0, f"judge: {fault}", 0
            is_cut = output.stop_reason == "max_tokens"
            grade = None if is_cut else rubric.grade_of(output.completion)
            return grade or 0.0, None if grade is not None else "judge: no grade", sum(_tokens(output))

        return measure

    return score()


def _is_to_ask_again(error: str, version: str) -> bool:
    """Whether a case stays without an outcome. Only a candidate's own failures count against it: were those of the
    version in use or of the judge scored as 0, an outage of theirs would help or harm the candidate."""
    cause = error.removeprefix("judge: ")
    is_transient = cause == "timeout" or cause.startswith("5")
    return is_transient and (version != "candidate" or cause != error)


def _answer(output: Any, refused: bool) -> Any:
    import answer_checks as checks  # pyright: ignore[reportMissingImports]

    if not output.choices:
        return checks.Answer(refused=refused)
    message = output.choices[0].message
    calls = [(call.function, call.arguments) for call in message.tool_calls or []]
    return checks.Answer(message.text, calls, refused)


def _tokens(output: Any) -> tuple[int, int]:
    """Tokens of the prompt, cached ones too, and of the answer."""
    usage = output.usage
    if usage is None:
        return 0, 0
    cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return usage.input_tokens + cached, usage.output_tokens


def _conversation_of(case: dict[str, Any]) -> str:
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in case["messages"])


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(run(json.load(sys.stdin)))
