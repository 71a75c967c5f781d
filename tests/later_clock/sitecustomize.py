"""A `time.sleep` that works under libfaketime: Python's own sleeps until a time of the monotonic clock, which
libfaketime 0.9.10 shifts although that clock is not moved.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


time.sleep = _sleep
