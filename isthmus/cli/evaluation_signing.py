"""Signs results, says who signed one, and collects them from jobs (`isthmus evaluate --signing-key`, `--verify`,
`--collect`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.signed_results import SignedResult
    from isthmus.contracts.trust import Trust
    from isthmus.engine.project.project import Stack


@dataclass(frozen=True)
class Signing:
    """Who evaluates."""

    private_key: bytes | None
    public_key: str | None
    """`ssh-ed25519 BASE64`. None: nobody signs."""
    is_trusted: bool
    """Whether the project names the key as an evaluator's."""


def read_signing(file: Path | None, stack: Stack) -> Signing:
    """Read the key before the first case is asked. Raises `InputError` for a key that cannot sign."""
    from isthmus.cli import console
    from isthmus.contracts import trust
    from isthmus.core.signing_keys import read_signing_key

    if file is None:
        return Signing(None, None, is_trusted=False)
    private_key, public_key = read_signing_key(
        file, "the file", "Make a key with `ssh-keygen -t ed25519 -N '' -f FILE`"
    )
    today = datetime.now(UTC).date()
    is_trusted = trust.read(stack.project.root).find("evaluators", public_key, today) is not None
    if stack.sandbox:
        console.err().print("A sandbox makes no official result", markup=False)
    elif not is_trusted:
        console.err().print(
            f"The result will not be official: {trust.FILE} does not name this key below `evaluators`: {public_key}",
            markup=False,
            soft_wrap=True,
        )
    return Signing(private_key, public_key, is_trusted)


def collect_result(
    log: Path, stack: Stack, workload: str, folder: Path, output: Path | None
) -> tuple[SignedResult, Path]:
    """Write the result of a job's log, and its signature. Returns the result with its signer, and its file.

    Args:
        log: the job's log, `-` for standard input.
        stack: the result must be of it.
        workload: the result must be of it.
        folder: of the workload's evaluation.
        output: where to write it. None: below the evaluation.

    Raises `InputError` for a log without a result of the workload, and `Refused` if its signature is not of this text.
    Whether the signer is trusted is another question (`why_unofficial`).
    """
    import sys
    import tempfile

    from isthmus.contracts import signed_results
    from isthmus.core.errors import InputError, Refused
    from isthmus.evaluation.subjects import find_workload

    where = "standard input" if str(log) == "-" else str(log)
    try:
        text = sys.stdin.read() if str(log) == "-" else log.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the log cannot be read ({error})", where=where) from None
    result, signature = signed_results.from_log(text, where)
    with tempfile.TemporaryDirectory(prefix="isthmus-collect-") as temporary:
        signed = signed_results.write_texts(Path(temporary) / "result.json", result, signature)
    platform = stack.platform()
    _, sensitivity = find_workload(platform, workload)
    actual = (signed.result.stack, signed.result.workload, signed.result.sensitivity)
    if actual not in [(name, workload, sensitivity) for name in (stack.name, platform.name)]:
        raise InputError(
            f"the result is of the workload {actual[1]} (class {actual[2]}) of {actual[0]}",
            where=where,
            fix=f"Collect the log of a job of {workload} (class {sensitivity}) of {stack.name}",
        )
    if signed.fault:
        raise Refused(
            f"the log was changed: {signed.fault}", where=where, fix="Take the log from the cluster again"
        )
    file = output or folder / "results" / signed_results.file_name(signed.result)
    file.parent.mkdir(parents=True, exist_ok=True)
    signed_results.write_texts(file, result, signature)
    return signed, file


def verify_result(file: Path, workload: str, trust: Trust) -> None:
    """Print who signed a result. Raises `Refused` unless it is official, and `InputError` for another workload's."""
    from isthmus.cli import console
    from isthmus.contracts import signed_results
    from isthmus.core.errors import InputError, Refused

    if not file.is_file():
        raise InputError("there is no such file", where=str(file), fix="Check the path")
    signed = signed_results.read(file)
    if signed.result.workload != workload:
        raise InputError(f"the result is of the workload {signed.result.workload}", where=str(file))
    today = datetime.now(UTC).date()
    if reason := signed.why_unofficial(trust, today):
        raise Refused(
            f"the result is not official: {reason}",
            where=str(file),
            fix="Evaluate with --signing-key, as an evaluator of trust.yaml (docs/evaluation.md)",
        )
    evaluator = signed.evaluator(trust, today)
    owner = evaluator.owner if evaluator else "nobody"
    console.out().print(
        f"official: {signed.result.verdict}, signed by {owner} ({signed.signer}), {signed.sha256}",
        markup=False,
        soft_wrap=True,
    )
