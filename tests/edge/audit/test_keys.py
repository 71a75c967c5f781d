"""Content keys, one for each subject and day: destroying a key erases content, a hold suspends this, keys expire."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from edge.audit import keys as key_files
from edge.audit.content import Hmacs, decrypt, encrypt, key_name
from edge.audit.keys import Keys, LegalHold, erase, expire, hold, read_key, release

ERIKA = "u-" + "1" * 32
OTHER = "u-" + "2" * 32
DAY = "2026-11-26"
WRAP = b"w" * 32


def written_line(keys: Keys, subject: str = ERIKA, day: str = DAY, days: int = 30) -> bytes:
    return encrypt(keys, key_name(subject, days), day, "r1", {"user": "erika"}, b"\xff answer", False)


def test_content_opens_with_its_key_and_with_no_other(tmp_path: Path):
    keys = Keys(tmp_path, WRAP)
    line = written_line(keys)
    assert decrypt(keys, line) == {"asked": {"user": "erika"}, "answer": b"\xff answer", "cut": False}
    with pytest.raises(ValueError, match="altered"):
        decrypt(keys, line.replace(b'"id":"r1"', b'"id":"r2"'))
    with pytest.raises(ValueError, match="wrapping key is another one"):
        decrypt(Keys(tmp_path, b"x" * 32), line)


def test_one_subject_and_day_has_one_key_whichever_process_creates_it(tmp_path: Path):
    first, two = Keys(tmp_path, WRAP), Keys(tmp_path, WRAP)
    name = key_name(ERIKA, 30)
    assert first.of(name, DAY) == two.of(name, DAY) == first.of(name, DAY)
    assert first.of(name, "2026-11-27") != first.of(name, DAY)
    assert first.of(key_name(OTHER, 30), DAY) != first.of(name, DAY)
    assert sorted(path.name for path in (tmp_path / DAY).iterdir()) == [
        f"{ERIKA}.30d.key",
        f"{OTHER}.30d.key",
    ]


def test_a_key_file_is_wrapped_and_readable_by_its_owner_only(tmp_path: Path):
    key = Keys(tmp_path, WRAP).of(key_name(ERIKA, 30), DAY)
    path = tmp_path / DAY / f"{ERIKA}.30d.key"
    assert key not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    moved = tmp_path / DAY / f"{OTHER}.30d.key"
    path.rename(moved)
    with pytest.raises(ValueError, match="damaged"):
        Keys(tmp_path, WRAP).of(key_name(OTHER, 30), DAY)


def test_erasing_destroys_every_key_of_the_subject_and_of_no_other(tmp_path: Path):
    keys = Keys(tmp_path, WRAP)
    lines = [written_line(keys), written_line(keys, day="2026-11-25"), written_line(keys, days=90)]
    other_line = written_line(keys, OTHER)
    assert erase(tmp_path, ERIKA) == 3
    assert [decrypt(keys, line) for line in lines] == [None] * 3
    assert decrypt(keys, other_line) is not None
    assert erase(tmp_path, ERIKA) == 0


@pytest.mark.parametrize("on_hold", [ERIKA, "all"])
def test_a_legal_hold_suspends_erasure_and_expiry_until_it_is_ended(tmp_path: Path, on_hold: str):
    keys = Keys(tmp_path, WRAP)
    line = written_line(keys)
    late = datetime.date(2027, 12, 1)
    hold(tmp_path, on_hold, "legal", "case 7")
    with pytest.raises(LegalHold, match=r"a legal hold of legal since .*: case 7"):
        erase(tmp_path, ERIKA)
    assert expire(tmp_path, late) == 0
    assert decrypt(keys, line) is not None
    assert release(tmp_path, on_hold) is True
    assert release(tmp_path, on_hold) is False
    assert expire(tmp_path, late) == 1
    assert decrypt(keys, line) is None


@pytest.mark.parametrize("text", ["{torn", "{}"])
def test_an_unreadable_legal_hold_blocks_every_erasure(tmp_path: Path, text: str):
    keys = Keys(tmp_path, WRAP)
    line = written_line(keys)
    hold(tmp_path, OTHER, "legal", "case 7")
    (tmp_path / "holds" / f"{OTHER}.json").write_text(text)
    assert expire(tmp_path, datetime.date(2030, 1, 1)) == 0
    with pytest.raises(LegalHold):
        erase(tmp_path, ERIKA)
    assert decrypt(keys, line) is not None


def test_keys_expire_after_their_stated_days_and_not_before(tmp_path: Path):
    keys = Keys(tmp_path, WRAP)
    short, long = written_line(keys, days=30), written_line(keys, days=90)
    assert expire(tmp_path, datetime.date(2026, 12, 26)) == 0
    assert expire(tmp_path, datetime.date(2026, 12, 27)) == 1
    assert (decrypt(keys, short), decrypt(keys, long) is None) == (None, False)
    assert expire(tmp_path, datetime.date(2027, 2, 25)) == 1
    assert list(tmp_path.glob("2*")) == []


def test_a_key_is_overwritten_before_it_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = Keys(tmp_path, WRAP)
    written_line(keys)
    path = tmp_path / DAY / f"{ERIKA}.30d.key"
    before, last = path.read_bytes(), []
    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda self, **more: (last.append(self.read_bytes()), unlink(self, **more))
    )
    erase(tmp_path, ERIKA)
    assert len(last[0]) == len(before)
    assert last[0] != before


@pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "ab" * 33])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, text: str):
    (tmp_path / "key").write_text(text)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        read_key(tmp_path / "key")


def test_key_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="names no key"):
        Keys(tmp_path, WRAP).of("../../x", DAY)
    with pytest.raises(ValueError, match="names no subject"):
        key_files.hold(tmp_path, "../x", "a", "b")


def test_the_hmac_of_a_prompt_does_not_depend_on_user_or_streaming():
    first, two = Hmacs(b"a" * 32), Hmacs(b"b" * 32)
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert first.prompt(request) == first.prompt({**request, "user": "erika", "stream": True})
    assert first.prompt(request) != first.prompt({**request, "temperature": 1})
    assert first.prompt(request) != two.prompt(request)
    assert first.subject("erika") != first.subject("Erika")
