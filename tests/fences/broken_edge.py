"""`python -m tests.fences.broken_edge --config FILE`: the edge without its own fence.

As a fault or a hand could leave it: the check that a restricted class leads to no cloud is taken out, nothing else.
Only tests start it, to see whether the network stops what it then does.
"""

from __future__ import annotations

import sys

from edge.__main__ import main
from edge.config import base

if __name__ == "__main__":
    assert base.is_cloud_host("bedrock-runtime.eu-central-1.amazonaws.com"), "there is nothing to take out"
    base.CLOUD_DOMAINS = ()
    sys.exit(main())
