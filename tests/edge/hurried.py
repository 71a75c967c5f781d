"""`python -m edge` with a fifth of the normal client timeouts, for tests that wait until a slow client is closed."""

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
