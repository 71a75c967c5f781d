"""The manifest of a model's weights: writes it, and verifies files against it.

    python -m edge.weights verify --digest sha256:… [--public-key FILE] [--wait SECONDS] FOLDER
    python -m edge.weights manifest FOLDER

The manifest is the file `SHA256SUMS` in the folder, in the format of `sha256sum`: one line for each file, sorted by
path. The digest of the weights is the SHA-256 of the manifest, so one number identifies every byte. The file
`SHA256SUMS.sig` can sign the manifest with an ECDSA or RSA key and SHA-256, in DER or base64, as `openssl dgst
-sha256 -sign` and `cosign sign-blob --key` write it. The `openssl` program of the image's base checks it.
Exit codes: 0 the files are correct, 1 they are not, 2 wrong arguments, 3 they cannot be checked.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

NAME = "SHA256SUMS"
SIGNATURE = f"{NAME}.sig"
OPENSSL = "/usr/bin/openssl"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIECE = 4 * 1024 * 1024


class NotAsPromised(Exception):
    """The files are not the weights with this digest."""


def read(folder: Path, digest: str) -> dict[str, str]:
    """The SHA-256 of each file by its path, from the folder's manifest. Raises `NotAsPromised` if the manifest has
    another digest.
    """
    file = folder / NAME
    try:
        text = file.read_bytes()
    except OSError as error:
        raise NotAsPromised(f"{file} cannot be read: {error.strerror}") from None
    return parse(text, digest)


def parse(text: bytes, digest: str) -> dict[str, str]:
    """The same as `read`, from the bytes of a manifest."""
    text_digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    if text_digest != digest:
        raise NotAsPromised(f"{NAME} has digest {text_digest}, and {digest} is promised")
    files: dict[str, str] = {}
    for number, line in enumerate(text.decode("utf-8", "strict").splitlines(), 1):
        match = _LINE.fullmatch(line)
        name = match.group(2).removeprefix("./") if match else ""
        path_parts = PurePosixPath(name).parts
        if (
            match is None
            or not path_parts
            or name.startswith("/")
            or ".." in path_parts
            or name in (NAME, SIGNATURE)
        ):
            raise NotAsPromised(f"line {number} of {NAME} is none that sha256sum would write of a file below")
        if name in files:
            raise NotAsPromised(f"line {number} of {NAME} names {name} again")
        files[name] = match.group(1)
    if not files:
        raise NotAsPromised(f"{NAME} names no file")
    return files


def verify(folder: Path, digest: str, threads: int) -> tuple[int, int]:
    """Read and check every byte. Returns the number of files and bytes. Raises `NotAsPromised`, which names the
    first wrong file.
    """
    sha256_by_file = read(folder, digest)
    present = set(_files(folder)) - {NAME, SIGNATURE}
    if missing := sorted(sha256_by_file.keys() - present):
        raise NotAsPromised(f"{len(missing)} file(s) are missing, the first is {missing[0]}")
    if extra := sorted(present - sha256_by_file.keys()):
        # Model servers read some files by their name alone: tokenizers, templates, code.
        raise NotAsPromised(f"{len(extra)} file(s) are in no manifest, the first is {extra[0]}")
    with ThreadPoolExecutor(threads) as pool:
        actual_sha256 = dict(
            zip(sha256_by_file, pool.map(lambda name: sha256(folder / name), sha256_by_file), strict=True)
        )
    if altered := sorted(name for name in sha256_by_file if actual_sha256[name] != sha256_by_file[name]):
        raise NotAsPromised(f"{len(altered)} file(s) are altered, the first is {altered[0]}")
    return len(sha256_by_file), sum((folder / name).stat().st_size for name in sha256_by_file)


def check_signature(folder: Path, public_key: Path) -> None:
    """Raise `NotAsPromised` unless the key's owner signed the manifest, and `OSError` if OpenSSL cannot check it."""
    try:
        signature = (folder / SIGNATURE).read_bytes()
    except OSError as error:
        raise NotAsPromised(f"{folder / SIGNATURE} cannot be read: {error.strerror}") from None
    with contextlib.suppress(binascii.Error):  # not base64, so it is DER
        signature = base64.b64decode(b"".join(signature.split()), validate=True)
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        command = [OPENSSL, "dgst", "-sha256", "-verify", str(public_key), "-signature", file.name]
        result = subprocess.run([*command, str(folder / NAME)], capture_output=True, text=True, check=False)
    if result.returncode == 0 and result.stdout.strip() == "Verified OK":
        return
    if result.stdout.strip() == "Verification failure":
        raise NotAsPromised(f"{SIGNATURE} is no signature of {NAME} by the key in {public_key}")
    raise OSError(f"OpenSSL cannot check {SIGNATURE} with {public_key}: {result.stderr.strip()[:200]}")


def sha256(file: Path) -> str:
    """SHA-256 of a file. Several threads hash in parallel, because hashing releases the interpreter's lock."""
    checksum = hashlib.sha256()
    with file.open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE):
            checksum.update(piece)
    return checksum.hexdigest()


def manifest(folder: Path) -> str:
    """The text of a manifest for the files in a folder."""
    names = sorted(set(_files(folder)) - {NAME, SIGNATURE})
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def _files(folder: Path) -> Iterator[str]:
    """Paths of all files below the folder. Raises `NotAsPromised` for links to folders and links out of the folder."""
    root = folder.resolve()
    for at, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if name != "lost+found"
        ]  # every new ext4 volume has this folder
        for name in (*names, *(name for name in folders if Path(at, name).is_symlink())):
            path = Path(at, name)
            if path.is_symlink() and (path.is_dir() or root not in path.resolve().parents):
                raise NotAsPromised(f"{path.relative_to(folder)} is a link to a folder or out of the weights")
            yield path.relative_to(folder).as_posix()


def await_folder(folder: Path, seconds: int) -> None:
    """Wait until another process has fetched the weights to this machine. Raises `OSError` after `seconds`."""
    deadline = time.monotonic() + seconds
    if not folder.is_dir():
        print(f"{folder}: not on this machine yet, waiting up to {seconds} s until it is fetched", flush=True)
    while not folder.is_dir():
        if time.monotonic() >= deadline:
            raise OSError(
                f"nothing has fetched it to this machine in {seconds} s: what fetches it there tells why, by its log"
            )
        time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="edge.weights", description="Hold a model's files against their manifest."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="exit 1 unless the files are those that the digest names")
    check.add_argument("--digest", required=True)
    check.add_argument("--public-key", type=Path)
    check.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    check.add_argument(
        "--wait", type=int, default=0, metavar="SECONDS", help="for a folder that is not there yet"
    )
    check.add_argument("folder", type=Path)
    write = commands.add_parser("manifest", help="write SHA256SUMS into the folder, and print the digest")
    write.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "manifest":
        text = manifest(options.folder)
        if not text:
            parser.error(f"{options.folder} holds no file")
        (options.folder / NAME).write_text(text, "utf-8")
        print(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
        return 0
    if not _DIGEST.fullmatch(options.digest) or options.threads < 1 or options.wait < 0:
        parser.error("--digest is sha256: and 64 hex digits, --threads 1 or more, --wait 0 or more")
    began = time.monotonic()
    try:
        if options.wait:
            await_folder(options.folder, options.wait)
            began = time.monotonic()
        if options.public_key is not None:
            check_signature(options.folder, options.public_key)
        files, size = verify(options.folder, options.digest, options.threads)
    except (NotAsPromised, UnicodeDecodeError) as error:
        print(f"{options.folder}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.folder}: {error}", file=sys.stderr)
        return 3
    print(
        f"{options.folder}: {files} files, {size} bytes, as {options.digest} says, in {time.monotonic() - began:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
