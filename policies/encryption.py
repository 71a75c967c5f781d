"""Encryption: with keys of ours, which rotate, at rest and on the way."""

from __future__ import annotations

from collections.abc import Iterator

from policies import frameworks as fw
from policies.rule import Broken, Rule, Subject
from policies.values import true, wants

_KEY = "aws:kms/key:Key"


def _keys_rotate(subject: Subject) -> Iterator[Broken]:
    for key in subject.graph.of(_KEY):
        # A key that signs, or whose material is imported, cannot rotate by itself.
        if key.inputs.get("keyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
            continue
        yield from wants(key, "enableKeyRotation", true, "does not rotate", "enable_key_rotation=True")


RULES = (
    Rule(
        id="encryption/keys-rotate",
        title="Keys of ours rotate",
        severity="high",
        supports=(*fw.fsbp("KMS.4"), *fw.nist("SC-12"), *fw.pci("3.7.4")),
        why="A key that never changes opens everything that it ever closed to whoever gets hold of it once",
        fix="Set enableKeyRotation on the key",
        check=_keys_rotate,
        each=(_KEY,),
    ),
)
