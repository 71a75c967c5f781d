"""Every alteration of a sealed store that an attacker with full access to a copy could try, each drawn from a seed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from edge.audit.records import Chain, canonical, digest, parse
from edge.audit.seal_format import Signer
from tests.edge.audit.harness import intent, new_key

Alter = Callable[[Path, random.Random], str]
"""Alters the store in this folder. Returns a description of the alteration."""


def _seals(store: Path) -> list[Path]:
    return sorted((store / "seals").iterdir())


def _with_records(store: Path, rng: random.Random, least: int = 2) -> tuple[Path, bytes, list[bytes]]:
    """A seal with at least this number of records: its file, head line and record lines."""
    files = [path for path in _seals(store) if path.read_bytes().count(b"\n") > least]
    path = rng.choice(files)
    head, *lines = path.read_bytes().splitlines()
    return path, head, lines


def _put(path: Path, head: bytes, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in [head, *lines]))


def flip(store: Path, rng: random.Random) -> str:
    path = rng.choice(_seals(store))
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"byte {at} of {path.name}"


def drop(store: Path, rng: random.Random) -> str:
    path, head, lines = _with_records(store, rng)
    at = rng.randrange(len(lines))
    _put(path, head, lines[:at] + lines[at + 1 :])
    return f"line {at} of {path.name}"


def reorder(store: Path, rng: random.Random) -> str:
    path, head, lines = _with_records(store, rng)
    at = rng.randrange(len(lines) - 1)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    _put(path, head, lines)
    return f"lines {at} and {at + 1} of {path.name}"


def insert(store: Path, rng: random.Random) -> str:
    path, head, lines = _with_records(store, rng)
    at = rng.randrange(len(lines))
    before = parse(lines[at])
    chain = Chain(before["writer"], before["seq"], digest(lines[at]))
    _put(
        path,
        head,
        [*lines[: at + 1], chain.write("intent", before["time"], intent("forged")), *lines[at + 1 :]],
    )
    return f"after line {at} of {path.name}"


def truncate(store: Path, rng: random.Random) -> str:
    path = rng.choice(_seals(store))
    data = path.read_bytes()
    length = rng.randrange(len(data))
    path.write_bytes(data[:length])
    return f"{path.name} to {length} bytes"


def swap(store: Path, rng: random.Random) -> str:
    first_file, two = rng.sample(_seals(store), 2)
    first_bytes = first_file.read_bytes()
    first_file.write_bytes(two.read_bytes())
    two.write_bytes(first_bytes)
    return f"{first_file.name} and {two.name}"


def remove_a_seal(store: Path, rng: random.Random) -> str:
    path = rng.choice(_seals(store)[:-1])
    path.unlink()
    return path.name


def renumber(store: Path, rng: random.Random) -> str:
    """Remove a seal, and renumber the later ones."""
    seals = _seals(store)
    at = rng.randrange(len(seals) - 1)
    for earlier, later in zip(seals[at:], seals[at + 1 :], strict=False):
        shutil.copy(later, earlier)
    seals[-1].unlink()
    return f"{seals[at].name} and up"


def forge(store: Path, rng: random.Random) -> str:
    """Replace a whole seal, records included, by one that is signed with another key."""
    path = rng.choice(_seals(store))
    head, _, payload = path.read_bytes().partition(b"\n")
    signer = Signer(new_key()[0])
    body = {**parse(head)["body"], "key": rng.choice([signer.id, parse(head)["body"]["key"]])}
    path.write_bytes(signer.head(body) + b"\n" + payload)
    return path.name


def forge_one_more(store: Path, rng: random.Random) -> str:
    """Add a forged seal after the last one."""
    last = _seals(store)[-1]
    head, _, payload = last.read_bytes().partition(b"\n")
    body = {**parse(head)["body"], "prev": digest(head), "seal": int(last.stem) + 1}
    (last.parent / f"{int(last.stem) + 1:012d}.seal").write_bytes(
        Signer(new_key()[0]).head(body) + b"\n" + payload
    )
    return last.name


def remove_a_writer(store: Path, rng: random.Random) -> str:
    """Remove one writer and its records from every seal."""
    bodies = [parse(path.read_bytes().partition(b"\n")[0])["body"] for path in _seals(store)]
    writer = rng.choice(sorted({writer for body in bodies for writer in body["writers"]}))
    for path, body in zip(_seals(store), bodies, strict=True):
        head, *lines = path.read_bytes().splitlines()
        other_lines = [line for line in lines if parse(line)["writer"] != writer]
        body["writers"].pop(writer, None)
        payload = b"".join(line + b"\n" for line in other_lines)
        body["payload"] = {"sha256": digest(payload), "bytes": len(payload), "lines": len(other_lines)}
        _put(path, canonical({"body": body, "signature": parse(head)["signature"]}), other_lines)
    return writer


def roll_back(store: Path, rng: random.Random) -> str:
    """Roll the store back by some seals."""
    seals = _seals(store)
    left = rng.randrange(1, len(seals))
    for path in seals[left:]:
        path.unlink()
    return f"to {left} of {len(seals)}"


def lay_a_file(store: Path, rng: random.Random) -> str:
    name = rng.choice(["seals/0.seal", "records/x.jsonl", "seals/000000000001.seal.bak", "content/x"])
    (store / name).parent.mkdir(exist_ok=True)
    (store / name).write_bytes(b"{}\n")
    return name


EVERY: dict[str, Alter] = {
    function.__name__: function
    for function in (
        flip,
        drop,
        reorder,
        insert,
        truncate,
        swap,
        remove_a_seal,
        renumber,
        forge,
        forge_one_more,
        remove_a_writer,
        roll_back,
        lay_a_file,
    )
}
