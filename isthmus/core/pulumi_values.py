"""How Pulumi marks values, on the wire and in a state, and what stands for such a value in whatever we show.

The marks are pulumi/sdk's, `go/common/resource` and `resource/plugin/rpc.go`. Light: every part of the engine's driver
reads this.
"""

from __future__ import annotations

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which a map is known as a marked value; what it holds is the kind."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a kind of mark, is none)
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""A text that is not known yet, and whatever an SDK sends."""
UNKNOWNS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""The same with booleans, numbers, lists, assets, archives and maps."""

MASK = "[secret]"
"""What stands for a secret value, in every output."""
UNKNOWN = "${unknown}"
"""What stands for a value that is not known before the change is made, where no name can."""
