"""A run over a folder: finished files, refused files, repeated files, and the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge.redaction import Rules
from edge.sanitising import BadPlace, FolderSource, FolderTarget
from edge.sanitising.locations import require_apart
from tests.edge.sanitising.conftest import CARD, IBAN, MAIL, Place, Quiet

GERMAN = "Herr Schulze aus der Nachbarstadt hat gestern ein neues Konto bei uns eröffnet.\n"


def fill(place: Place) -> None:
    place.lay("a.txt", f"to {MAIL}\n")
    place.lay("b/c.jsonl", f'{{"iban": "{IBAN}"}}\n{{"card": {CARD}}}\n')
    place.lay("b/d.csv", f"id,mail\n1,{MAIL}\n2,\n")


def test_paths_are_kept_and_the_manifest_says_what_became_of_each(place: Place):
    fill(place)
    outcome = place.run()
    assert sorted(place.all()) == ["a.txt", "b/c.jsonl", "b/d.csv", "manifest.jsonl", "summary.json"]
    assert place.made("b/d.csv") == b"id,mail\n1,<EMAIL_ADDRESS_1>\n2,\n"
    entry = place.entries()["b/c.jsonl"]
    data = (place.root / "in/b/c.jsonl").read_bytes()
    assert entry["sha256_in"] == hashlib.sha256(data).hexdigest()
    assert entry["sha256_out"] == hashlib.sha256(place.made("b/c.jsonl") or b"").hexdigest()
    assert (entry["status"], entry["kind"], entry["class"]) == ("done", "jsonl", "public")
    assert (entry["documents"], entry["findings"]) == (2, {"CREDIT_CARD": 1, "IBAN_CODE": 1})
    assert entry["rules"] == place.rules.version
    summary = json.loads(place.made("summary.json") or b"")
    assert summary == outcome.summary
    assert summary["findings"] == {"CREDIT_CARD": 1, "EMAIL_ADDRESS": 2, "IBAN_CODE": 1}
    assert summary["manifest_sha256"] == hashlib.sha256(place.made("manifest.jsonl") or b"").hexdigest()
    assert not any(value.encode() in data for data in place.all().values() for value in (MAIL, IBAN, CARD))


def test_the_same_input_gives_the_same_bytes_however_many_processes_there_are(place: Place, monkeypatch):
    fill(place)
    place.lay("long.jsonl", "".join(f'{{"n": {at}, "t": "to u{at}@example.com"}}\n' for at in range(400)))
    monkeypatch.setattr("edge.sanitising.run._LITTLE", 0)
    place.run(into="alone", processes=1)
    place.run(into="several", processes=2)
    assert place.all("alone") == place.all("several")
    assert b"<EMAIL_ADDRESS_1>" in (place.made("long.jsonl", "several") or b"")


def test_what_was_done_is_not_done_again_unless_something_that_decides_has_changed(place: Place):
    fill(place)
    place.run()
    assert place.run().kept == 3
    place.lay("a.txt", f"new {MAIL}\n")
    assert place.run().kept == 2
    assert place.made("a.txt") == b"new <EMAIL_ADDRESS_1>\n"
    (place.root / "out/b/d.csv").write_text("somebody changed it")
    assert place.run().kept == 2, "what lies there is not what was written"
    place.rules = Rules(entities=["IBAN_CODE"])
    assert place.run().kept == 0, "other rules"
    assert MAIL.encode() in (place.made("a.txt") or b"")
    assert place.run(allowed_because="a test").kept == 0, "other settings"


def test_a_refused_file_is_not_in_the_target_and_the_others_are(place: Place):
    fill(place)
    place.run()
    place.lay("b/c.jsonl", '{"a": 1}\n{"a": \n')
    place.lay("x.docx", "word")
    outcome = place.run()
    assert outcome.summary["complete"]
    assert place.made("b/c.jsonl") is None, "what was there came of another content"
    lines, word_reason = (refusal.reason for refusal in outcome.refused)
    assert lines == (
        "b/c.jsonl:2: it is no JSON: Expecting value, column 7. Mend the line, or leave the file out."
    )
    assert word_reason.startswith("x.docx: no reader is here for .docx. Make it one of .txt, ")
    assert place.made("b/d.csv") is not None
    place.lay("b/c.jsonl", '{"a": 1}\n')
    assert place.run().summary["refused"] == 1, "a refused file is tried again"


def test_without_keep_going_nothing_after_a_refused_file_is_looked_at(place: Place):
    fill(place)
    place.lay("b/aa.txt", b"\xff")
    outcome = place.run(keep_going=False)
    assert [name for name, _ in place.quiet.told] == ["a.txt", "b/aa.txt"]
    assert not outcome.summary["complete"]
    assert sorted(place.all()) == ["a.txt", "manifest.jsonl", "summary.json"]


def test_a_language_without_a_model_is_said_and_refused_where_names_must_go(place: Place):
    place.lay("de.txt", GERMAN)
    assert place.run().summary["patterns_only"] == {"de": 1}
    refused = place.run(names_demanded=True, data_class="restricted").refused
    assert "no model looks for names in de, and class restricted" in refused[0].reason
    assert place.made("de.txt") is None
    done = place.run(names_demanded=True, data_class="restricted", allowed_because="reviewed by hand")
    assert not done.refused
    entry = place.entries()["de.txt"]
    assert (entry["patterns_only"], entry["allowed_because"]) == (["de"], "reviewed by hand")


def test_rules_that_look_for_no_names_are_patterns_only_in_every_language(place: Place):
    place.lay("a.txt", "words")
    place.rules = Rules(entities=["IBAN_CODE"])
    assert place.run().summary["patterns_only"] == {"any": 1}


def test_what_has_no_source_any_more_is_deleted_only_when_asked(place: Place):
    fill(place)
    place.run()
    (place.root / "in/a.txt").unlink()
    before = place.all()
    with pytest.raises(BadPlace, match=r"a\.txt in it came of no file") as refused:
        place.run()
    assert "--prune" in refused.value.fix
    assert place.made("a.txt") == before["a.txt"]
    assert place.run(prune=True).pruned == ["a.txt"]
    assert place.made("a.txt") is None
    assert "a.txt" not in place.entries()


@pytest.mark.parametrize("name", [f"{MAIL}.txt", f"of/{IBAN}/a.txt"])
def test_a_path_that_tells_is_refused(place: Place, name: str):
    place.lay(name, "words")
    assert "its name holds" in place.run().refused[0].reason


def test_a_topic_that_a_guard_forbids_is_no_finding(place: Place):
    place.rules = Rules.model_validate({"topics": [{"name": "WEAPONS", "phrases": ["bomb"]}]})
    place.lay("bomb.json", '{"bomb": "bomb"}')
    assert place.run().summary["findings"] == {}
    assert place.made("bomb.json") == b'{"bomb": "bomb"}'


def test_a_file_that_names_somebody_in_a_field_is_refused_however_late(place: Place):
    place.lay("a.jsonl", '{"a": 1}\n' * 300 + f'{{"{MAIL}": 1}}\n')
    assert "the name of a field holds EMAIL_ADDRESS" in place.run().refused[0].reason
    assert place.made("a.jsonl") is None


def test_what_is_no_plain_file_or_too_large_or_has_our_names_is_refused(place: Place):
    place.lay("big.txt", "x" * 2000)
    place.lay("manifest.jsonl", '{"a": 1}\n')
    place.lay("real/a.txt", "words")
    (place.root / "in/link.txt").symlink_to("/etc/hostname")
    (place.root / "in/folder").symlink_to(place.root / "in/real")
    reasons = {refusal.path: refusal.reason for refusal in place.run(most_bytes=1024).refused}
    assert set(reasons) == {"big.txt", "manifest.jsonl", "link.txt", "folder"}
    assert "--max-mib" in reasons["big.txt"]
    assert "link" in reasons["link.txt"]
    assert "manifest has this name" in reasons["manifest.jsonl"]
    assert place.entries()["real/a.txt"]["status"] == "done"


def test_a_folder_with_files_of_others_is_no_target(place: Place, tmp_path: Path):
    fill(place)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years")
    with pytest.raises(BadPlace, match="not one that this command made"):
        place.run()
    (tmp_path / "out/manifest.jsonl").write_text('{"path": "mine"}\n')
    with pytest.raises(BadPlace, match="line 1"):
        place.run()
    assert (tmp_path / "out/thesis.txt").read_text() == "years"
    for source, target in (
        (tmp_path, tmp_path / "x"),
        (tmp_path / "in", tmp_path / "in"),
        (tmp_path / "in", tmp_path),
    ):
        with pytest.raises(BadPlace, match="within the other"):
            require_apart(source, target)


def test_two_runs_do_not_write_into_one_target(place: Place):
    fill(place)
    first = FolderTarget(place.root / "out")
    first.begin()
    with pytest.raises(BadPlace, match="another run"):
        place.run()
    first.close()
    place.run()


def test_one_file_is_a_source_too_and_nothing_is_none(place: Place, tmp_path: Path):
    fill(place)
    assert [file.name for file in FolderSource(tmp_path / "in/b/d.csv").items()] == ["d.csv"]
    with pytest.raises(BadPlace, match="no such file"):
        FolderSource(tmp_path / "nowhere").items()


def test_a_line_that_was_cut_off_is_taken_back_and_its_file_done_again(place: Place):
    fill(place)
    place.run()
    all_files = place.all()
    manifest = place.root / "out/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    (place.root / "out/.sanitise").mkdir()
    (place.root / "out/.sanitise/part").write_bytes(b"half")
    assert place.run().kept == 2
    assert place.all() == all_files


def test_until_a_file_is_whole_nothing_has_its_name(place: Place, monkeypatch: pytest.MonkeyPatch):
    place.lay("long.jsonl", '{"a": "words"}\n' * 300)
    listings: list[list[str]] = []

    def look(quiet: Quiet, characters: int) -> None:
        listings.append(sorted(place.all()))
        if len(listings) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Quiet, "passed", look)
    with pytest.raises(KeyboardInterrupt):
        place.run()
    assert listings == [[".sanitise/part", "manifest.jsonl"]] * 3
    assert sorted(place.all()) == ["manifest.jsonl"], "of what was begun nothing is left"
