"""`python -m edge` with client time limits divided by five: for tests that wait until a slow client is dropped."""

from __future__ import annotations

import sys

from edge import connections

SHARE = 5

for name in ("HEADERS_S", "BODY_S", "STALLED_S"):
    setattr(connections, name, getattr(connections, name) / SHARE)

if __name__ == "__main__":
    # Imported after the limits are changed, because other modules import the limits by name.
    from edge.__main__ import main

    sys.exit(main())
