"""`digest.py PREVIEW`: the digest of a whole preview as `digest=sha256:…`, for a job's outputs. Else it ends with 1.

A preview that is partial or failed has nothing that could be approved. Needs Python alone.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any


def main(file: str) -> str:
    preview: Any = json.loads(Path(file).read_text(encoding="utf-8"))
    # Of one stack, or a list of one.
    found: Any = preview[0] if isinstance(preview, list) and len(preview) == 1 else preview
    status, digest = found.get("status"), str(found.get("digest"))
    if status != "complete":
        raise SystemExit(f"{file}: the preview is {status}, and only a complete one can be approved")
    if not re.fullmatch(r"(sha256:)?[0-9a-f]{64}", digest):
        raise SystemExit(f"{file}: there is no digest in this preview")
    return f"digest={digest}"


if __name__ == "__main__":
    print(main(sys.argv[1]))
