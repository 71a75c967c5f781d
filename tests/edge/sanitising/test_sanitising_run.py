"""A sanitising run over a folder: what is cleaned, refused or repeated, and what the manifest records."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge.redaction import Rules
from edge.sanitising import BadPlace, FolderSource, FolderTarget
from edge.sanitising.locations import require_apart
from tests.edge.sanitising.conftest import CARD, IBAN, MAIL, Quiet, Workspace

GERMAN = "Herr Schulze aus der Nachbarstadt hat gestern ein neues Konto bei uns eröffnet.\n"


def fill(workspace: Workspace) -> None:
    workspace.lay("a.txt", f"to {MAIL}\n")
    workspace.lay("b/c.jsonl", f'{{"iban": "{IBAN}"}}\n{{"card": {CARD}}}\n')
    workspace.lay("b/d.csv", f"id,mail\n1,{MAIL}\n2,\n")


def test_paths_are_kept_and_the_manifest_has_the_result_of_every_file(workspace: Workspace):
    fill(workspace)
    outcome = workspace.run()
    assert sorted(workspace.all()) == ["a.txt", "b/c.jsonl", "b/d.csv", "manifest.jsonl", "summary.json"]
    assert workspace.made("b/d.csv") == b"id,mail\n1,<EMAIL_ADDRESS_1>\n2,\n"
    entry = workspace.entries()["b/c.jsonl"]
    data = (workspace.root / "in/b/c.jsonl").read_bytes()
    assert entry["sha256_in"] == hashlib.sha256(data).hexdigest()
    assert entry["sha256_out"] == hashlib.sha256(workspace.made("b/c.jsonl") or b"").hexdigest()
    assert (entry["status"], entry["kind"], entry["class"]) == ("done", "jsonl", "public")
    assert (entry["documents"], entry["findings"]) == (2, {"CREDIT_CARD": 1, "IBAN_CODE": 1})
    assert entry["rules"] == workspace.rules.version
    summary = json.loads(workspace.made("summary.json") or b"")
    assert summary == outcome.summary
    assert summary["findings"] == {"CREDIT_CARD": 1, "EMAIL_ADDRESS": 2, "IBAN_CODE": 1}
    assert summary["manifest_sha256"] == hashlib.sha256(workspace.made("manifest.jsonl") or b"").hexdigest()
    assert not any(
        value.encode() in data for data in workspace.all().values() for value in (MAIL, IBAN, CARD)
    )


def test_the_output_does_not_depend_on_the_number_of_processes(workspace: Workspace, monkeypatch):
    fill(workspace)
    workspace.lay("long.jsonl", "".join(f'{{"n": {at}, "t": "to u{at}@example.com"}}\n' for at in range(400)))
    monkeypatch.setattr("edge.sanitising.run._LITTLE", 0)
    workspace.run(into="alone", processes=1)
    workspace.run(into="several", processes=2)
    assert workspace.all("alone") == workspace.all("several")
    assert b"<EMAIL_ADDRESS_1>" in (workspace.made("long.jsonl", "several") or b"")


def test_a_cleaned_file_is_skipped_unless_its_content_or_the_rules_changed(workspace: Workspace):
    fill(workspace)
    workspace.run()
    assert workspace.run().kept == 3
    workspace.lay("a.txt", f"new {MAIL}\n")
    assert workspace.run().kept == 2
    assert workspace.made("a.txt") == b"new <EMAIL_ADDRESS_1>\n"
    (workspace.root / "out/b/d.csv").write_text("somebody changed it")
    assert workspace.run().kept == 2, "what lies there is not what was written"
    workspace.rules = Rules(entities=["IBAN_CODE"])
    assert workspace.run().kept == 0, "other rules"
    assert MAIL.encode() in (workspace.made("a.txt") or b"")
    assert workspace.run(allowed_because="a test").kept == 0, "other settings"


def test_a_refused_file_is_missing_from_the_target_and_others_are_written(workspace: Workspace):
    fill(workspace)
    workspace.run()
    workspace.lay("b/c.jsonl", '{"a": 1}\n{"a": \n')
    workspace.lay("x.docx", "word")
    outcome = workspace.run()
    assert outcome.summary["complete"]
    assert workspace.made("b/c.jsonl") is None, "what was there came of another content"
    lines, word_reason = (refusal.reason for refusal in outcome.refused)
    assert lines == (
        "b/c.jsonl:2: it is no JSON: Expecting value, column 7. Mend the line, or leave the file out."
    )
    assert word_reason.startswith("x.docx: no reader is here for .docx. Make it one of .txt, ")
    assert workspace.made("b/d.csv") is not None
    workspace.lay("b/c.jsonl", '{"a": 1}\n')
    assert workspace.run().summary["refused"] == 1, "a refused file is tried again"


def test_without_keep_going_the_run_stops_at_a_refused_file(workspace: Workspace):
    fill(workspace)
    workspace.lay("b/aa.txt", b"\xff")
    outcome = workspace.run(keep_going=False)
    assert [name for name, _ in workspace.quiet.told] == ["a.txt", "b/aa.txt"]
    assert not outcome.summary["complete"]
    assert sorted(workspace.all()) == ["a.txt", "manifest.jsonl", "summary.json"]


def test_a_language_without_a_model_is_reported_and_refused_if_names_must_be_removed(workspace: Workspace):
    workspace.lay("de.txt", GERMAN)
    assert workspace.run().summary["patterns_only"] == {"de": 1}
    refused = workspace.run(names_demanded=True, data_class="restricted").refused
    assert "no model looks for names in de, and class restricted" in refused[0].reason
    assert workspace.made("de.txt") is None
    done = workspace.run(names_demanded=True, data_class="restricted", allowed_because="reviewed by hand")
    assert not done.refused
    entry = workspace.entries()["de.txt"]
    assert (entry["patterns_only"], entry["allowed_because"]) == (["de"], "reviewed by hand")


def test_rules_without_names_use_patterns_only_in_every_language(workspace: Workspace):
    workspace.lay("a.txt", "words")
    workspace.rules = Rules(entities=["IBAN_CODE"])
    assert workspace.run().summary["patterns_only"] == {"any": 1}


def test_target_files_without_a_source_are_deleted_only_on_request(workspace: Workspace):
    fill(workspace)
    workspace.run()
    (workspace.root / "in/a.txt").unlink()
    before = workspace.all()
    with pytest.raises(BadPlace, match=r"a\.txt in it came of no file") as refused:
        workspace.run()
    assert "--prune" in refused.value.fix
    assert workspace.made("a.txt") == before["a.txt"]
    assert workspace.run(prune=True).pruned == ["a.txt"]
    assert workspace.made("a.txt") is None
    assert "a.txt" not in workspace.entries()


@pytest.mark.parametrize("name", [f"{MAIL}.txt", f"of/{IBAN}/a.txt"])
def test_a_path_that_contains_personal_data_is_refused(workspace: Workspace, name: str):
    workspace.lay(name, "words")
    assert "its name holds" in workspace.run().refused[0].reason


def test_a_topic_that_a_guard_forbids_is_not_a_finding(workspace: Workspace):
    workspace.rules = Rules.model_validate({"topics": [{"name": "WEAPONS", "phrases": ["bomb"]}]})
    workspace.lay("bomb.json", '{"bomb": "bomb"}')
    assert workspace.run().summary["findings"] == {}
    assert workspace.made("bomb.json") == b'{"bomb": "bomb"}'


def test_a_file_with_personal_data_in_a_field_name_is_refused(workspace: Workspace):
    workspace.lay("a.jsonl", '{"a": 1}\n' * 300 + f'{{"{MAIL}": 1}}\n')
    assert "the name of a field holds EMAIL_ADDRESS" in workspace.run().refused[0].reason
    assert workspace.made("a.jsonl") is None


def test_links_oversized_files_and_reserved_names_are_refused(workspace: Workspace):
    workspace.lay("big.txt", "x" * 2000)
    workspace.lay("manifest.jsonl", '{"a": 1}\n')
    workspace.lay("real/a.txt", "words")
    (workspace.root / "in/link.txt").symlink_to("/etc/hostname")
    (workspace.root / "in/folder").symlink_to(workspace.root / "in/real")
    reasons = {refusal.path: refusal.reason for refusal in workspace.run(most_bytes=1024).refused}
    assert set(reasons) == {"big.txt", "manifest.jsonl", "link.txt", "folder"}
    assert "--max-mib" in reasons["big.txt"]
    assert "link" in reasons["link.txt"]
    assert "manifest has this name" in reasons["manifest.jsonl"]
    assert workspace.entries()["real/a.txt"]["status"] == "done"


def test_a_folder_with_other_files_is_refused_as_target(workspace: Workspace, tmp_path: Path):
    fill(workspace)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years")
    with pytest.raises(BadPlace, match="not one that this command made"):
        workspace.run()
    (tmp_path / "out/manifest.jsonl").write_text('{"path": "mine"}\n')
    with pytest.raises(BadPlace, match="line 1"):
        workspace.run()
    assert (tmp_path / "out/thesis.txt").read_text() == "years"
    for source, target in (
        (tmp_path, tmp_path / "x"),
        (tmp_path / "in", tmp_path / "in"),
        (tmp_path / "in", tmp_path),
    ):
        with pytest.raises(BadPlace, match="within the other"):
            require_apart(source, target)


def test_two_runs_cannot_write_into_one_target(workspace: Workspace):
    fill(workspace)
    first = FolderTarget(workspace.root / "out")
    first.begin()
    with pytest.raises(BadPlace, match="another run"):
        workspace.run()
    first.close()
    workspace.run()


def test_a_single_file_is_a_valid_source_and_a_missing_one_is_refused(workspace: Workspace, tmp_path: Path):
    fill(workspace)
    assert [file.name for file in FolderSource(tmp_path / "in/b/d.csv").items()] == ["d.csv"]
    with pytest.raises(BadPlace, match="no such file"):
        FolderSource(tmp_path / "nowhere").items()


def test_a_truncated_manifest_line_is_removed_and_its_file_cleaned_again(workspace: Workspace):
    fill(workspace)
    workspace.run()
    all_files = workspace.all()
    manifest = workspace.root / "out/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    (workspace.root / "out/.sanitise").mkdir()
    (workspace.root / "out/.sanitise/part").write_bytes(b"half")
    assert workspace.run().kept == 2
    assert workspace.all() == all_files


def test_an_output_file_gets_its_name_only_when_it_is_complete(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    workspace.lay("long.jsonl", '{"a": "words"}\n' * 300)
    listings: list[list[str]] = []

    def look(quiet: Quiet, characters: int) -> None:
        listings.append(sorted(workspace.all()))
        if len(listings) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Quiet, "passed", look)
    with pytest.raises(KeyboardInterrupt):
        workspace.run()
    assert listings == [[".sanitise/part", "manifest.jsonl"]] * 3
    assert sorted(workspace.all()) == ["manifest.jsonl"], "of what was begun nothing is left"
