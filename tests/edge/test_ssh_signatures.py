"""Signatures of `ssh-keygen -Y sign`: made by it and read here, made here and read by it, and every wrong one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge import ssh_signatures
from edge.ssh_signatures import BadSignature

NAMESPACE = "isthmus-test"
TEXT = "a text\n"


def new_key(folder: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", file], check=True)
    return file


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signing-keys")
    for name in ("ann", "eve"):
        new_key(folder, name)
    return folder


def public(keys: Path, name: str) -> str:
    return (keys / f"{name}.pub").read_text().strip()


def signed(keys: Path, name: str, text: str = TEXT, namespace: str = NAMESPACE) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", keys / name]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def test_a_signature_of_ssh_keygen_holds(keys: Path) -> None:
    ssh_signatures.verify(signed(keys, "ann"), TEXT, NAMESPACE, public(keys, "ann"))


def test_ssh_keygen_accepts_a_signature_that_is_made_here(keys: Path, tmp_path: Path) -> None:
    signature = ssh_signatures.sign(TEXT, NAMESPACE, (keys / "ann").read_bytes())
    (tmp_path / "signature").write_text(signature)
    (tmp_path / "allowed").write_text(f"ann {public(keys, 'ann')}\n")
    command = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", "ann", "-f", tmp_path / "allowed"]
    ended = subprocess.run(
        [*command, "-s", tmp_path / "signature"], input=TEXT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    ssh_signatures.verify(signature, TEXT, NAMESPACE, public(keys, "ann"))


def test_the_public_key_of_a_private_one_is_that_of_ssh_keygen(keys: Path) -> None:
    assert ssh_signatures.public_key_of((keys / "ann").read_bytes()) == public(keys, "ann").rpartition(" ")[0]


def test_a_wrong_truncated_or_missing_signature_does_not_hold(keys: Path) -> None:
    good, key = signed(keys, "ann"), public(keys, "ann")
    lines = good.splitlines()
    for bad, message in (
        (signed(keys, "ann", namespace="git"), "signed for `git`"),
        (signed(keys, "eve"), "signed with another key"),
        ("", "not a signature of `ssh-keygen"),
        ("\n".join([lines[0], *lines[2:]]), "truncated|not in format version 1"),
        ("\n".join([*lines[:-2], lines[-1]]), "truncated"),
        ("\n".join([lines[0], "!" + lines[1][1:], *lines[2:]]), "truncated or not valid base64"),
    ):
        with pytest.raises(BadSignature, match=message):
            ssh_signatures.verify(bad, TEXT, NAMESPACE, key)
    with pytest.raises(BadSignature, match="does not match the text"):
        ssh_signatures.verify(good, TEXT.strip(), NAMESPACE, key)


def test_a_key_that_cannot_sign_is_told(tmp_path: Path) -> None:
    for file, message in (
        (new_key(tmp_path, "locked", passphrase="secret"), "without a passphrase"),
        (new_key(tmp_path, "other", kind="ecdsa"), "not an Ed25519 key"),
        (tmp_path / "other.pub", "not a private key"),
    ):
        with pytest.raises(BadSignature, match=message):
            ssh_signatures.sign(TEXT, NAMESPACE, file.read_bytes())
