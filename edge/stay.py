"""Waits until SIGTERM: the main container of the pod that fetches weights to a node.

    python -m edge.stay

The init container has fetched the weights before. Signals are blocked and waited for: the first process of a
container does not receive signals that it neither handles nor blocks.
"""

from __future__ import annotations

import signal
import sys


def main() -> int:
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    print("the weights are on this machine: until told to end", flush=True)
    signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main())
