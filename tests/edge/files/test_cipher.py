"""The encryption of transit data: what it is bound to, and how its key is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import ConfigError
from edge.files import Cipher, Unreadable

OLD, NEW = "1a" * 32, "2b" * 32


def cipher(folder: Path, *keys: str, data_class: str = "internal", site: str = "fra1") -> Cipher:
    path = folder / "transit"
    path.write_text("\n".join(keys) + "\n")
    return Cipher(path, data_class, site)


def test_content_comes_back_and_no_two_ciphertexts_are_equal(tmp_path: Path):
    own = cipher(tmp_path, OLD)
    first, second = (own.encrypt("file\0key:a\x000", b"rent") for _ in range(2))
    assert first != second
    assert own.decrypt("file\0key:a\x000", first) == own.decrypt("file\0key:a\x000", second) == b"rent"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("file\0key:b\x000", {}),
        ("file\0key:a\x001", {}),
        ("file\0key:a\x000", {"site": "zrh1"}),
        ("file\0key:a\x000", {"data_class": "restricted"}),
    ],
)
def test_content_cannot_take_another_place(tmp_path: Path, name: str, changes: dict[str, str]):
    sealed = cipher(tmp_path, OLD).encrypt("file\0key:a\x000", b"rent")
    with pytest.raises(Unreadable):
        cipher(tmp_path, OLD, **changes).decrypt(name, sealed)


def test_altered_content_is_not_read(tmp_path: Path):
    own = cipher(tmp_path, OLD)
    sealed = bytearray(own.encrypt("a", b"rent"))
    sealed[-1] ^= 1
    for broken in (bytes(sealed), b"", b"short"):
        with pytest.raises(Unreadable):
            own.decrypt("a", broken)


def test_a_new_key_goes_before_the_old_one_which_still_decrypts(tmp_path: Path):
    sealed = cipher(tmp_path, OLD).encrypt("a", b"rent")
    both = cipher(tmp_path, NEW, OLD)
    assert both.decrypt("a", sealed) == b"rent"
    with pytest.raises(Unreadable):
        cipher(tmp_path, OLD).decrypt("a", cipher(tmp_path, NEW, OLD).encrypt("a", b"rent"))


@pytest.mark.parametrize("text", ["", "abc", f"{OLD} {OLD[:-1]}"])
def test_a_file_without_a_key_stops_the_start(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match=r"file_store\.key: .*openssl rand -hex 32"):
        cipher(tmp_path, text)
