"""Child process that builds or destroys one of several stacks, and reports progress to its parent.

It is a process, not a thread: a run changes environment variables, and Pulumi's SDK supports one program per process.
It writes messages to stdout, one JSON object a line. The parent ends it by closing its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from isthmus.core.errors import IsthmusError

if TYPE_CHECKING:
    from isthmus.engine.automation.events import Run
    from isthmus.engine.recovery.recovery import Answers
    from isthmus.engine.run.approval import Approval

Action = Literal["up", "destroy"]
SHOWN_OUTPUTS = ("gateways", "audit", "data_paths")
"""Stack outputs that the parent shows."""
_MIN_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Order:
    """The task of a child process."""

    action: Action
    root: str
    stack: str
    in_place: bool = False
    checked: bool = False
    made: Mapping[str, str] = field(default_factory=dict)
    not_made: tuple[str, ...] = ()
    approved: tuple[str, str] | None = None
    """The approved digest, and its file (empty if only a digest was given)."""

    @property
    def approval(self) -> Approval | None:
        """Reads the file again, since a command line is too short for it. Raises `InputError` if it has changed."""
        from isthmus.engine.run import approval

        if self.approved is None:
            return None
        digest, file = self.approved
        return approval.reread_approval(file, self.stack, digest) if file else approval.Approval(digest)

    @property
    def answers(self) -> Answers:
        from isthmus.engine.recovery.recovery import Answers

        return Answers(self.made, frozenset(self.not_made))


class Messenger:
    """Writes progress messages."""

    def __init__(self, stream: TextIO) -> None:
        self._to = stream
        self._lock = threading.Lock()
        self._last = 0.0

    def tell(self, **message: Any) -> None:
        with self._lock:
            self._to.write(json.dumps(message) + "\n")
            self._to.flush()

    def say(self, line: str) -> None:
        self.tell(say=line)

    def changed(self, run: Run, line: str | None) -> None:
        """The run has progressed (`isthmus.engine.automation.events.Watcher`)."""
        if line is None and time.monotonic() - self._last < _MIN_INTERVAL_S:
            return
        self._last = time.monotonic()
        other_count = max(0, len(run.doing) - 1)
        self.tell(say=line, done=len(run.done), total=run.total, doing=run.oldest, others=other_count)


def run(order: Order, teller: Messenger) -> int:
    """Run the order, report its result, and return the exit code."""
    from isthmus.engine.project.project import Project
    from isthmus.engine.run import up_and_destroy

    try:
        stack = Project(Path(order.root)).stack(order.stack)
        if order.action == "up":
            built = up_and_destroy.up(
                stack,
                say=teller.say,
                watcher=teller,
                answers=order.answers,
                in_place=order.in_place,
                checked=order.checked,
                approval=order.approval,
            )
            shown = {key: value for key, value in built.outputs.items() if key in SHOWN_OUTPUTS}
            teller.tell(
                result={
                    "counts": built.counts,
                    "seconds": built.seconds,
                    "replacements": built.replacements,
                    "set_back": built.set_back,
                    "outputs": shown,
                }
            )
        else:
            destroyed = up_and_destroy.destroy(stack, say=teller.say, watcher=teller, answers=order.answers)
            teller.tell(
                result={
                    "counts": destroyed.counts,
                    "seconds": destroyed.seconds,
                    "retained": [str(resource) for resource in destroyed.retained],
                    "pending_keys": destroyed.pending_keys,
                }
            )
    except IsthmusError as error:
        teller.tell(error=" ".join(str(error).split()), code=error.exit_code)
        return error.exit_code
    return 0


def command(order: Order) -> list[str]:
    """Command line with which the parent starts the child."""
    return [sys.executable, "-m", "isthmus.engine.run.stack_process", json.dumps(asdict(order))]


def _end_with_parent() -> None:
    """Wait until the parent closes stdin, then interrupt this process and its engine."""
    # Not `sys.stdin`: its lock would still be held when this process ends.
    while os.read(0, 64):
        pass
    os.killpg(0, signal.SIGINT)


def end_with_parent() -> None:
    """Interrupt this process when its parent ends.

    Also resets SIGINT: processes that a shell starts in the background ignore it, and so would every child.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def main() -> int:
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Anything else that is printed goes to stderr, so that stdout holds messages only.
    os.dup2(2, 1)
    end_with_parent()
    try:
        return run(Order(**json.loads(sys.argv[1])), Messenger(messages))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
