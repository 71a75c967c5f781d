"""Constants by which Pulumi marks secret, output, asset and unknown values, and what Isthmus prints for them.

The marks are from pulumi/sdk, `go/common/resource` and `resource/plugin/rpc.go`. This module imports nothing, because
many modules import it.
"""

from __future__ import annotations

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks a map as a special value; its value is the kind of the mark."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a kind of mark, is none)
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""An unknown text. SDKs send it for unknown values of every type."""
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
"""Marks of unknown texts, booleans, numbers, lists, assets, archives and maps."""

MASK = "[secret]"
"""Printed in place of a secret value, in every output."""
UNKNOWN = "${unknown}"
"""Printed for a value that is unknown before the deployment, if no name can be given."""
