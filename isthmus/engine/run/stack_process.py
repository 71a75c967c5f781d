"""One stack of several that are built side by side: a process of its own, told what to do, telling how it goes.

A process and not a thread, since a run changes the environment (which backend, which step) and Pulumi's SDK keeps one
program a process. What is said goes to stdout, a JSON object a line; the parent ends it by closing stdin.
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
"""Outputs that the parent shows."""
_MIN_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Order:
    """What a child is to do."""

    action: Action
    root: str
    stack: str
    in_place: bool = False
    checked: bool = False
    made: Mapping[str, str] = field(default_factory=dict)
    not_made: tuple[str, ...] = ()
    approved: tuple[str, str] | None = None
    """The digest that was approved, and the file that it stands in; empty where there is none."""

    @property
    def approval(self) -> Approval | None:
        """Read anew, for a command line is short. `InputError` where the file is another by now."""
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
    """Writes how it goes."""

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
        """The engine moved on (`isthmus.engine.automation.events.Watcher`)."""
        if line is None and time.monotonic() - self._last < _MIN_INTERVAL_S:
            return
        self._last = time.monotonic()
        other_count = max(0, len(run.doing) - 1)
        self.tell(say=line, done=len(run.done), total=run.total, doing=run.oldest, others=other_count)


def run(order: Order, teller: Messenger) -> int:
    """Do it and tell the outcome; the exit code."""
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
    """How the parent starts it."""
    return [sys.executable, "-m", "isthmus.engine.run.stack_process", json.dumps(asdict(order))]


def _end_with_parent() -> None:
    """The parent holds our stdin open as long as it lives; its end interrupts us and our engine."""
    # Not through `sys.stdin`, whose lock would be held when this process ends.
    while os.read(0, 64):
        pass
    os.killpg(0, signal.SIGINT)


def end_with_parent() -> None:
    """From now on the parent's end interrupts this process, even where a script in the background began it all: what
    such a shell starts ignores interrupts, and so would every child."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def main() -> int:
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever else is printed here is no message.
    os.dup2(2, 1)
    end_with_parent()
    try:
        return run(Order(**json.loads(sys.argv[1])), Messenger(messages))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
