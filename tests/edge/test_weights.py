"""Weights must match the digest before anything starts: real files, a real S3 service."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from edge import weights
from tests.edge.weighing import FILES, Store, run, signed


def refused(folder: Path, digest: str, says: str) -> None:
    done = run("verify", "--digest", digest, str(folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stderr


def test_matching_weights_pass_verification(model: Path) -> None:
    done = run("verify", "--digest", signed(model), str(model))
    assert done.returncode == 0, done.stderr
    assert f"4 files, {sum(map(len, FILES.values()))} bytes" in done.stdout


def test_the_manifest_has_the_format_of_sha256sum(model: Path) -> None:
    digest = signed(model)
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=model, capture_output=True, check=False)
    assert checked.returncode == 0
    script = "find . -type f ! -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS"
    subprocess.run(["sh", "-c", script], cwd=model, check=True, env={**os.environ, "LC_ALL": "C"})
    theirs = f"sha256:{hashlib.sha256((model / 'SHA256SUMS').read_bytes()).hexdigest()}"
    assert theirs != digest, "it writes ./ before each name"
    assert run("verify", "--digest", theirs, str(model)).returncode == 0


def test_one_altered_byte_of_weights_is_found(model: Path) -> None:
    digest = signed(model)
    file = model / "model-00001-of-00002.safetensors"
    file.write_bytes(FILES[file.name][:-1] + b"\x01")
    refused(model, digest, f"1 file(s) are altered, the first is {file.name}")


def test_a_missing_file_of_weights_is_found(model: Path) -> None:
    digest = signed(model)
    (model / "config.json").unlink()
    refused(model, digest, "1 file(s) are missing, the first is config.json")


def test_an_additional_file_is_found_because_a_server_may_read_it(model: Path) -> None:
    digest = signed(model)
    (model / "chat_template.jinja").write_text("{{ messages }}")
    refused(model, digest, "the first is chat_template.jinja")


def test_a_manifest_with_another_digest_is_refused(model: Path) -> None:
    digest = signed(model)
    (model / "config.json").write_text("{}")
    assert signed(model) != digest
    refused(model, digest, "is promised")


def test_weights_without_a_manifest_are_refused(model: Path) -> None:
    refused(model, "sha256:" + "0" * 64, "SHA256SUMS cannot be read")


def test_a_link_out_of_the_weights_is_refused(model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"\x02" * 40)
    digest = signed(model)
    inside = model / "adapters/kyc/adapter_model.safetensors"
    inside.unlink()
    inside.symlink_to(outside)
    refused(model, digest, "out of the weights")


def test_a_linked_folder_in_the_weights_is_refused(model: Path, tmp_path: Path) -> None:
    digest = signed(model)
    (model / "more").symlink_to(model / "adapters")
    refused(model, digest, "link to a folder")


@pytest.mark.parametrize("line", ["../secret", "/etc/passwd", "SHA256SUMS", "a/../../b"])
def test_a_manifest_with_paths_outside_of_the_weights_is_refused(line: str) -> None:
    text = f"{'0' * 64}  {line}\n".encode()
    with pytest.raises(weights.NotAsPromised, match="a file below"):
        weights.parse(text, f"sha256:{hashlib.sha256(text).hexdigest()}")


def test_an_invalid_command_has_another_exit_code_than_wrong_weights(model: Path) -> None:
    assert run("verify", "--digest", "latest", str(model)).returncode == 2


def keys(folder: Path) -> tuple[Path, Path]:
    """Create a private key and its public key."""
    private, public = folder / "key.pem", folder / "key.pub"
    openssl = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(openssl, check=True, capture_output=True)
    read = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(read, check=True, capture_output=True)
    return private, public


def sign(model: Path, private: Path, *, text: bool) -> None:
    """Sign as cosign and OpenSSL do: ECDSA over SHA-256, in base64 or DER."""
    file = model / "SHA256SUMS"
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(private), str(file)], check=True, capture_output=True
    )
    signature = base64.encodebytes(done.stdout) if text else done.stdout
    (model / "SHA256SUMS.sig").write_bytes(signature)


@pytest.mark.parametrize("text", [True, False])
def test_a_signature_by_the_stated_key_passes(model: Path, tmp_path: Path, text: bool) -> None:
    private, public = keys(tmp_path)
    digest = signed(model)
    sign(model, private, text=text)
    done = run("verify", "--digest", digest, "--public-key", str(public), str(model))
    assert done.returncode == 0, done.stderr


def test_a_missing_foreign_or_mismatched_signature_is_refused(model: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    digest = signed(model)
    arguments = ("verify", "--digest", digest, "--public-key", str(public), str(model))
    assert "SHA256SUMS.sig cannot be read" in run(*arguments).stderr
    (tmp_path / "other").mkdir()
    sign(model, keys(tmp_path / "other")[0], text=True)
    done = run(*arguments)
    assert (done.returncode, "no signature" in done.stderr) == (1, True), done.stderr
    sign(model, private, text=True)
    (model / "config.json").write_text("{}")
    other_digest = signed(model)
    assert run("verify", "--digest", other_digest, "--public-key", str(public), str(model)).returncode == 1


def test_an_invalid_signing_key_is_an_environment_fault_and_nothing_passes(
    model: Path, tmp_path: Path
) -> None:
    private, _ = keys(tmp_path)
    digest = signed(model)
    sign(model, private, text=True)
    broken = tmp_path / "broken.pub"
    broken.write_text("no key")
    done = run("verify", "--digest", digest, "--public-key", str(broken), str(model))
    assert done.returncode == 3, done.stdout + done.stderr


@pytest.mark.service
def test_weights_are_fetched_once_and_an_interrupted_fetch_resumes(store: Store) -> None:
    left = store.volume / f".part-{store.fetched.name}"
    left.mkdir()
    (left / "config.json.6Fd2").write_text("half of it")
    done = store.fetch()
    assert done.returncode == 0, done.stderr
    assert {name: (store.fetched / name).read_bytes() for name in FILES} == FILES
    assert run("verify", "--digest", store.digest, str(store.fetched)).returncode == 0
    assert [path.name for path in store.volume.iterdir()] == [store.fetched.name], "nothing lies beside it"
    store.s3.delete_object(Bucket="models", Key="llama/v1/SHA256SUMS")
    again = store.fetch()
    assert again.returncode == 0, "what is there and right needs no store"


@pytest.mark.service
def test_an_altered_object_is_never_stored_where_models_are_read(store: Store) -> None:
    store.s3.put_object(Bucket="models", Key="llama/v1/config.json", Body=b"{}")
    done = store.fetch()
    assert done.returncode == 1
    assert "altered, the first is config.json" in done.stderr
    assert not store.fetched.exists()
    missing = store.fetch(prefix="llama/v2")
    assert missing.returncode == 3, "the store's fault is told from the weights'"
    assert "NoSuchKey" in missing.stderr
