"""`isthmus verify STACK`: proves that a running stack works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, ProjectDir, StackName, TextOrJson

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.kubernetes.pool_health import SignResult
    from isthmus.engine.project.project import Stack
    from isthmus.engine.verification.prompts import Verified
    from isthmus.engine.verification.reach import PodReach

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    stack: StackName
    project: ProjectDir = None
    gateways: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How to reach the gateways, with a key for each (docs/verify.md). Default: those that "
            "`isthmus sandbox serve` started.",
            show_default=False,
        ),
    ] = None
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Ask this instead.", show_default=False)
    ] = None
    everything: Annotated[bool, typer.Option("--all", help="Also list what is healthy.")] = False
    format: TextOrJson = Format.text


@dataclass
class Results:
    """What the checks of one stack found."""

    pools: Sequence[SignResult]
    prompts: Sequence[Verified]
    reach: Sequence[PodReach]
    not_checked: dict[str, str]
    """Check → why it was not made."""


@app.command()
@takes(VerifyOptions)
def verify(options: VerifyOptions) -> None:
    """Prove that a running stack works: GPU pools, a prompt through each gateway, no way from restricted pods to AWS.

    Pools are compared with the stack's files: machines, labels, GPUs of the kubelet, operator and queues. A prompt
    shows answer, model, path and sealed record; it is sent to what `isthmus sandbox serve` started, or to the gateways
    of --gateways. The exit code is 1 if something is missing, wrong or open.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.engine.project import project as projects

    selected = projects.find_project(options.project).stack(options.stack)
    results = _check(selected, options)
    if options.format is Format.json:
        console.print_json(_as_json(results))
    else:
        for line in _as_text(results, everything=options.everything):
            console.out().print(line, markup=False, soft_wrap=True)
    for what, why in results.not_checked.items():
        console.err().print(f"Not checked: {what}. {why}", markup=False)
    _refuse_faults(results, options.stack)


def _check(selected: Stack, options: VerifyOptions) -> Results:
    from isthmus.engine.kubernetes import pool_health
    from isthmus.engine.project.prerequisites import clusters, run_environment
    from isthmus.engine.render import rendering

    platform = selected.platform()
    with rendering.without_garbage_collection():
        pools = rendering.render(selected).outputs["pools"]
    not_checked: dict[str, str] = {}
    with run_environment(selected):
        reached = clusters(platform, selected)
        results = pool_health.check_pools(pools, reached)
        if selected.sandbox:
            results = [
                result for result in results if not result.object.startswith(pool_health.NOT_SIMULATED)
            ]
            not_checked["signs of Kueue and of the driver"] = "The sandbox runs neither"
        prompts = _send_prompts(selected, options, not_checked)
        reach = _try_aws(selected, platform, reached, not_checked)
    return Results(results, prompts, reach, not_checked)


def _send_prompts(selected: Stack, options: VerifyOptions, not_checked: dict[str, str]) -> list[Verified]:
    from isthmus.cli.audit_options import StoreAccess, open_store, store_errors
    from isthmus.engine.verification import access, prompts

    def open_record(record: Any) -> Any:
        store_access = StoreAccess(
            endpoint=record.endpoint, region=record.region, credentials=record.credentials, ca=record.ca
        )
        return open_store(record.store, store_access)

    gateways = access.gateways_of(selected, options.gateways)
    if gateways is None:
        not_checked["prompts"] = (
            f"Run `isthmus sandbox serve {selected.name}` first"
            if selected.sandbox
            else "State how to reach the gateways with --gateways FILE (docs/verify.md)"
        )
        return []
    found = [prompts.send_prompt(gateway, options.prompt or prompts.PROMPT) for gateway in gateways]
    # Seals come every few seconds: all prompts wait for the same ones.
    with store_errors():
        for gateway, verified in zip(gateways, found, strict=True):
            if gateway.record is not None and verified.request_id:
                prompts.find_record(gateway.record, open_record(gateway.record), verified)
    return found


def _try_aws(
    selected: Stack, platform: Platform, clusters: Mapping[str, KubeClient], not_checked: dict[str, str]
) -> list[PodReach]:
    """Try to reach AWS from the pods of class restricted. None is tried where the platform has no such class."""
    from isthmus.core.errors import EnvironmentFault
    from isthmus.engine.verification import reach

    if not any(endpoint.class_ == reach.RESTRICTED for endpoint in platform.endpoints):
        return []
    try:
        attempt = reach.try_here if selected.sandbox else reach.try_in_pods
        return attempt(platform, clusters)
    except EnvironmentFault as fault:
        not_checked["ways from restricted pods to AWS"] = str(fault)
        return []


def _as_text(results: Results, *, everything: bool) -> list[str]:
    lines = [f"{result.pool}: {result}" for result in results.pools if everything or not result.well]
    healthy = sum(result.well for result in results.pools)
    if results.pools:
        lines.append(f"{healthy} of {len(results.pools)} signs of the GPU pools are healthy.")
    for verified in results.prompts:
        lines += ["", *_prompt_lines(verified)]
    if results.reach:
        lines += ["", *_reach_lines(results.reach, everything=everything)]
    return lines


def _prompt_lines(verified: Verified) -> list[str]:
    outcomes = {
        "answered": f"answered in {verified.seconds:.1f} s",
        "approved": "held, and approved by the reviewers of the sandbox",
        "held": "held for people to review",
        "refused": "refused by a rule",
        "missing": "NO ANSWER",
    }
    why = f" ({', '.join(verified.held_because)})" if verified.held_because else ""
    lines = [
        f"{verified.data_class} at {verified.site}: {outcomes[verified.outcome]}{why}",
        f"  workload  {verified.workload}",
        # A small model's answer may be many lines; `--format json` has it as it is.
        f"  answer    {' '.join(verified.text.split())[:300]}",
    ]
    if verified.server:
        lines.append(f"  model     {', '.join(filter(None, (verified.model, verified.target)))}")
        lines.append(f"  path      gateway, then {verified.server}")
    if verified.score is not None:
        lines.append(f"  score     {verified.score:.2f}")
    if verified.verdicts:
        lines.append(f"  verdicts  {'; '.join(verified.verdicts)}")
    if verified.seal is not None:
        lines.append(f"  record    {verified.request_id}, in seal {verified.seal}")
    elif verified.record_wanted and verified.request_id:
        lines.append(f"  record    {verified.request_id}: NOT SEALED")
    elif verified.request_id:
        lines.append(f"  record    {verified.request_id}, not looked for")
    return lines


def _reach_lines(reach: Sequence[PodReach], *, everything: bool) -> list[str]:
    restricted = [entry for entry in reach if entry.data_class == "restricted"]
    closed = [entry for entry in restricted if entry.well]
    lines = [f"{len(closed)} of {len(restricted)} restricted pods do not reach AWS."]
    for entry in reach:
        if entry.reached and (everything or not entry.well or entry.role == "translator"):
            lines.append(f"  {entry.pod} at {entry.site} reaches {', '.join(entry.reached)}")
    return lines


def _as_json(results: Results) -> dict[str, Any]:
    from isthmus.engine.verification import reach

    return {
        "pools": [
            {"pool": result.pool, "site": result.site, "sign": str(result), "well": result.well}
            for result in results.pools
        ],
        "prompts": [
            {
                "class": verified.data_class,
                "site": verified.site,
                "workload": verified.workload,
                "outcome": verified.outcome,
                "answer": verified.text,
                "held_because": verified.held_because,
                "model": verified.model,
                "target": verified.target,
                "server": verified.server,
                "score": verified.score,
                "verdicts": verified.verdicts,
                "request_id": verified.request_id,
                "seal": verified.seal,
                "seconds": round(verified.seconds, 3),
                "well": verified.well,
            }
            for verified in results.prompts
        ],
        "reach": [reach.as_dict(entry) for entry in results.reach],
        "not_checked": results.not_checked,
    }


def _refuse_faults(results: Results, stack: str) -> None:
    """Raise `Refused` if something is missing, wrong or open."""
    from isthmus.core.errors import Refused

    faults = []
    if unhealthy := sum(not result.well for result in results.pools):
        faults.append(
            (
                f"{unhealthy} signs of healthy pools are missing or wrong",
                "docs/components-pools.md lists them",
            )
        )
    if silent := [entry for entry in results.prompts if not entry.well]:
        names = ", ".join(f"{entry.data_class} at {entry.site}" for entry in silent)
        faults.append((f"no answer, or no sealed record: {names}", "read the logs of the gateway"))
    if opened := [entry for entry in results.reach if not entry.well]:
        names = ", ".join(entry.pod for entry in opened)
        faults.append((f"restricted pods reach AWS: {names}", "`isthmus drift` shows what changed"))
    if faults:
        raise Refused(
            "; ".join(what for what, _ in faults),
            where=stack,
            fix="; ".join(how for _, how in faults).capitalize(),
        )
