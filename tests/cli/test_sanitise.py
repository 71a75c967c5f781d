"""`isthmus sanitise` as a process: interrupted, killed or out of disk space it resumes, with the same result."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Isthmus
from tests.edge.screening.standing import german_model
from tests.s3_service import client, s3_service

MAIL = "ann@example.com"
FILES, LINES = 12, 60


@pytest.fixture
def source_folder(tmp_path: Path) -> Path:
    """A folder `in`, and rules."""
    (tmp_path / "rules.yaml").write_text("languages: [en]\n")
    for at in range(FILES):
        (tmp_path / f"in/{at % 3}").mkdir(parents=True, exist_ok=True)
        text = "".join(f'{{"n": {line}, "text": "to u{at}.{line}@example.com"}}\n' for line in range(LINES))
        (tmp_path / f"in/{at % 3}/{at:02}.jsonl").write_text(text)
    return tmp_path


SMALL = """
import resource, sys
from edge.redaction import language
language.load_model()  # which unpacks its model into a file, elsewhere
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from isthmus.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""The command, in a process whose files the kernel lets grow so far only, as a full disk does."""


def start(source_folder: Path, into: str, *, most: int | None = None) -> subprocess.Popen[str]:
    program = ["-m", "isthmus"] if most is None else ["-c", SMALL, str(most)]
    place = ["in", "-o", into, "--rules", "rules.yaml", "--class", "public", "--processes", "1"]
    return subprocess.Popen(
        [sys.executable, *program, "sanitise", *place],
        cwd=source_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def all_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def noted(root: Path) -> int:
    manifest = root / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def cut_off(source_folder: Path, into: str, number: int) -> subprocess.Popen[str]:
    """A run that was sent a signal in its middle: halted first, since on a busy machine we may come too late."""
    for _ in range(5):
        shutil.rmtree(source_folder / into, ignore_errors=True)
        running = start(source_folder, into)
        while noted(source_folder / into) < 3 and running.poll() is None:
            time.sleep(0.002)
        running.send_signal(signal.SIGSTOP)
        if running.poll() is None and noted(source_folder / into) < FILES:
            running.send_signal(number)
            running.send_signal(signal.SIGCONT)
            return running
        running.send_signal(signal.SIGCONT)
        running.communicate()
    raise AssertionError("it was over before it could be cut off, five times")


def test_a_killed_or_interrupted_run_resumes_with_the_same_output_as_one_run(source_folder: Path):
    assert start(source_folder, "whole").wait() == 0
    full_run = all_of(source_folder / "whole")
    assert len(full_run) == FILES + 2
    for number, code, into in ((signal.SIGKILL, -9, "killed"), (signal.SIGINT, 130, "interrupted")):
        running = cut_off(source_folder, into, number)
        _, err = running.communicate()
        assert running.returncode == code, err
        left = {
            name: data
            for name, data in all_of(source_folder / into).items()
            if name in full_run and name.endswith(".jsonl")
        }
        left.pop("manifest.jsonl")
        assert 3 <= len(left) < FILES
        assert all(full_run[name] == data for name, data in left.items()), "half a file under its name"
        assert "summary.json" not in all_of(source_folder / into)
        again = start(source_folder, into)
        out, _ = again.communicate()
        assert again.returncode == 0
        assert "of them by an earlier run" in out
        assert all_of(source_folder / into) == full_run


def test_a_full_disk_is_reported_and_the_run_resumes_later(source_folder: Path):
    (source_folder / "in/z.txt").write_text("words " * 4000)
    for most, file_counts in ((2600, range(1, FILES)), (12_000, [FILES])):
        full = start(source_folder, "out", most=most)
        _, err = full.communicate()
        assert full.returncode == 3
        assert "Free disk space; the same command continues." in err
        assert "Traceback" not in err
        assert noted(source_folder / "out") in file_counts
        assert not (source_folder / "out/z.txt").exists()
    assert start(source_folder, "out").wait() == 0
    assert start(source_folder, "whole").wait() == 0
    assert all_of(source_folder / "out") == all_of(source_folder / "whole")


@pytest.mark.parametrize(
    ("rules", "where", "message"),
    [
        ("languages: [en]\nnames: x\n", "rules.yaml:2 names", "this key is unknown"),
        (
            "mode: detector\nrules:\n  patterns:\n  - {entity: OWN, pattern: 'a+'}\n",
            "rules.yaml:4",
            "longer than 512",
        ),
        ("models:\n- file: de_core_news_md-999.9.9-py3-none-any.whl\n", "rules.yaml:2", "no trusted model"),
        ("models:\n- file: fr_core_news_sm-3.8.0-py3-none-any.whl\n", "models", "cannot be read"),
    ],
)
def test_invalid_rules_are_reported_with_their_line(
    isthmus: Isthmus, source_folder: Path, rules: str, where: str, message: str
):
    (source_folder / "rules.yaml").write_text(rules)
    result = isthmus("sanitise", "in", "-o", "out", "--rules", "rules.yaml", cwd=source_folder)
    assert (result.code, result.out) == (2, "")
    assert where in result.err
    assert message in result.err
    assert not (source_folder / "out").exists()


def test_rules_of_a_detector_file_are_used_and_json_is_alone_on_stdout(isthmus: Isthmus, source_folder: Path):
    (source_folder / "rules.yaml").write_text(
        "mode: detector\nclass: public\nrules:\n  patterns:\n  - {entity: OWN, pattern: 'CASE-[0-9]{4}'}\n"
    )
    (source_folder / "one.txt").write_text(f"CASE-1234 of {MAIL}\n")
    arguments = ("one.txt", "-o", "out", "--rules", "rules.yaml", "--class", "public", "--format", "json")
    result = isthmus("sanitise", *arguments, cwd=source_folder)
    assert result.code == 0, result.err
    assert json.loads(result.out)["findings"] == {"EMAIL_ADDRESS": 1, "OWN": 1}
    assert (source_folder / "out/one.txt").read_text() == "<OWN_1> of <EMAIL_ADDRESS_1>\n"


def test_without_a_class_the_strictest_applies_and_a_refused_file_exits_1(
    isthmus: Isthmus, source_folder: Path
):
    result = isthmus("sanitise", "in", "-o", "out", "--rules", "rules.yaml", cwd=source_folder)
    assert result.code == 1
    assert "no model looks for names in en, and class restricted has them taken out" in result.err
    assert "--allow-patterns-only" in result.err
    assert sorted(all_of(source_folder / "out")) == ["manifest.jsonl", "summary.json"]
    assert "stopped at a refused file" in result.out


def test_a_target_within_its_source_is_refused(isthmus: Isthmus, source_folder: Path):
    result = isthmus("sanitise", "in", "-o", "in/out", "--rules", "rules.yaml", cwd=source_folder)
    assert (result.code, "within the other" in result.err) == (2, True)
    arguments = ("s3://b/raw", "-o", "s3://b/raw/clean", "--rules", "rules.yaml")
    result = isthmus(
        "sanitise", *arguments, cwd=source_folder, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"
    )
    assert (result.code, "contain each other" in result.err) == (2, True)


def test_names_are_redacted_if_a_language_model_is_installed(isthmus: Isthmus, tmp_path: Path):
    import yaml

    (tmp_path / "models").mkdir()
    model = german_model(tmp_path / "models")
    # A file of rules names its models from its own folder.
    model["file"] = str(Path(model["file"]).relative_to(tmp_path))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"languages": ["de"], "models": [model]}))
    (tmp_path / "a.csv").write_text("ort,bemerkung\n1,Käthe Groß war gestern bei der Nordbank in der Stadt\n")
    result = isthmus("sanitise", "a.csv", "-o", "out", "--rules", "rules.yaml", cwd=tmp_path)
    assert result.code == 0, result.err
    text = (tmp_path / "out/a.csv").read_text()
    assert text == "ort,bemerkung\n1,<PERSON_1> war gestern bei der <ORGANIZATION_1> in der Stadt\n"
    assert "patterns only" not in result.out


def test_the_documented_commands_work(isthmus: Isthmus, source_folder: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = (ROOT / "docs/sanitise.md").read_text()
    rules = text.split("```yaml\n")[1].split("```")[0]
    (source_folder / "rules.yaml").write_text(rules)
    (source_folder / "detector.yaml").write_text("mode: detector\nrules:\n" + textwrap.indent(rules, "  "))
    (source_folder / "raw").mkdir()
    (source_folder / "raw/a.txt").write_text(f"AZ-1234/26 of {MAIL}\n")
    (source_folder / "notes.md").write_text(f"# {MAIL}\n")
    cards = pa.table({"card_number": [4111111111111111, 7], "raw": [MAIL.encode(), b"x"]})
    shown = [shlex.split(line) for line in re.findall(r"^    (isthmus sanitise .*)$", text, re.M)]
    assert len(shown) == 5
    with s3_service() as url:
        at = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        s3 = client(url)
        s3.create_bucket(Bucket="lake")
        s3.put_object(Bucket="lake", Key="raw/a.txt", Body=MAIL.encode())
        for number, arguments in enumerate(shown):
            if number == 2:
                pq.write_table(cards, source_folder / "raw/cards.parquet")
            result = isthmus(*arguments[1:], cwd=source_folder, **at)
            assert result.code == 0, f"{shlex.join(arguments)}: {result.err}"
            if number == 2:
                assert json.loads(result.out)["findings"] == {
                    "CASE_NUMBER": 1,
                    "CREDIT_CARD": 1,
                    "EMAIL_ADDRESS": 2,
                }
                (source_folder / "raw/a.txt").unlink()
            if number == 3:
                assert "deleted, its source is gone: a.txt" in result.out
        assert s3.get_object(Bucket="lake", Key="clean/a.txt")["Body"].read() == b"<EMAIL_ADDRESS_1>"
        assert "read by two people, DPO-117" in (source_folder / "clean/manifest.jsonl").read_text()
