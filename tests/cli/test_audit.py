"""`isthmus audit` on an intact store and on an altered one: exit codes and each output format."""

from __future__ import annotations

import json
import random
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from edge.audit.content import Hmacs, encrypt, key_name, reference
from edge.audit.keys import Keys
from tests.cli.conftest import ROOT, Isthmus
from tests.edge.audit.altering import EVERY
from tests.edge.audit.harness import AuditSite, close, exchange, intent, outcome, write

ACT = ("--volume", "{store}", "--by", "legal")
FROM_TO = ("--from", "2020-01-01", "--to", "2120-01-01")


@pytest.fixture
def audit_site(tmp_path: Path) -> AuditSite:
    audit_site = AuditSite.at(tmp_path / "site")
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "r1")
    sealer.seal()
    write(writer, ("intent", intent("r2")))
    sealer.seal()
    (audit_site.root / "seal.pem").write_bytes(audit_site.public)
    return audit_site


def audit_arguments(audit_site: AuditSite, *more: str | Path) -> list[str | Path]:
    return [audit_site.root / "store", "--public-key", audit_site.root / "seal.pem", *more]


def test_verify_lists_unfinished_requests_and_prints_an_anchor_for_the_next_verification(
    isthmus: Isthmus, audit_site: AuditSite
):
    result = isthmus("audit", "verify", *audit_arguments(audit_site, "--volume", audit_site.root))
    assert result.code == 0, result.err
    assert "Proven: nothing before the last seal was changed" in result.out
    assert "unfinished  request r2" in result.out
    assert "0 records are not sealed yet." in result.out
    anchor = re.search(r"Anchor for the next verification: (\d+:[0-9a-f]{64})", result.out)
    assert anchor is not None
    (audit_site.root / "store/seals/000000000002.seal").unlink()
    again = isthmus(
        "audit", "verify", *audit_arguments(audit_site, "--anchor", anchor[1], "--format", "json")
    )
    report = json.loads(again.out)
    assert (again.code, report["proven"]) == (1, False)
    assert report["findings"] == ["the store ends at seal 1, and 2 was there before"]
    assert set(report) == {
        *("proven", "findings", "seals", "first_seal", "last_seal", "records", "unfinished", "unsealed"),
        *("gaps", "writers", "contents"),
    }


def test_an_altered_store_fails_verification_and_gets_no_valid_report(
    isthmus: Isthmus, audit_site: AuditSite
):
    EVERY["flip"](audit_site.root / "store", random.Random(3))
    result = isthmus("audit", "verify", *audit_arguments(audit_site))
    assert result.code == 1
    assert "FINDING" in result.out
    assert "Proven" not in result.out
    reported = isthmus("audit", "report", *audit_arguments(audit_site, *FROM_TO))
    assert reported.code == 1
    assert "this report proves nothing" in reported.out


def test_verify_reports_a_sealer_that_stopped_sealing_before_the_as_of_time(
    isthmus: Isthmus, audit_site: AuditSite
):
    late = isthmus("audit", "verify", *audit_arguments(audit_site, "--as-of", "2120-01-01"))
    assert late.code == 1
    assert "the sealer promised one every 3600 s" in late.out


def test_report_counts_requests_lists_gaps_and_exits_1_if_a_class_ran_where_it_may_not(
    isthmus: Isthmus, audit_site: AuditSite
):
    result = isthmus("audit", "report", *audit_arguments(audit_site, *FROM_TO, "--format", "json"))
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert [(row["class"], row["gateway"], row["ran"], row["requests"]) for row in report["requests"]] == [
        ("restricted", "gw-0", "onprem-vllm", 1)
    ]
    assert ["r2" in gap for gap in report["gaps"]] == [True, False]
    assert "is sealed" in report["gaps"][1]
    writer = audit_site.writer("gw-1")
    write(writer, ("intent", intent("r3", to={"target": "bedrock", "server": "translator.svc"})))
    audit_site.sealer().seal()
    bad = isthmus("audit", "report", *audit_arguments(audit_site, *FROM_TO, "--format", "markdown"))
    assert bad.code == 1
    assert "restricted work may not run on bedrock" in bad.out


def test_report_compares_records_with_flow_logs(isthmus: Isthmus, audit_site: AuditSite, tmp_path: Path):
    log = tmp_path / "flows.log"
    log.write_text("2 1 eni-1 10.20.4.7 52.94.1.1 40000 443 6 10 8400 1795705200 1795705260 ACCEPT OK\n")
    flows = ("--flow-log", log, "--address", "restricted=10.20.4.0/24")
    result = isthmus(
        "audit", "report", *audit_arguments(audit_site, *FROM_TO, *flows, "--inside", "10.0.0.0/8")
    )
    assert result.code == 1
    assert "to reach 52.94.1.1 port 443" in result.out
    assert isthmus("audit", "report", *audit_arguments(audit_site, *FROM_TO, *flows)).code == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["verify", "nowhere", "--public-key", "{key}"], "nowhere: the folder does not exist"),
        (["verify", "{store}", "--public-key", "{store}"], "is not a sealer's public key"),
        (["verify", "{store}", "--public-key", "{key}", "--anchor", "2"], "`2` is not SEAL:HASH"),
        (["verify", "{store}", "--public-key", "{key}", "--as-of", "soon"], "`soon` is not a time"),
        (
            ["report", "{store}", "--public-key", "{key}", "--from", "2026-02", "--to", "2026-01-01"],
            "is not a time",
        ),
        (
            ["report", "{store}", "--public-key", "{key}", "--from", "2026-02-01", "--to", "2026-01-01"],
            "--to is not after --from",
        ),
        (["erase", "--keys", "{store}", *ACT], "no subject is given, or two are"),
        (["erase", "--keys", "{store}", *ACT, "--user", "erika"], "--user needs the site"),
        (["erase", "--keys", "{store}", *ACT, "--subject", "erika"], "`erika` is not a subject"),
    ],
)
def test_invalid_arguments_give_one_paragraph_and_exit_code_2(
    isthmus: Isthmus, audit_site: AuditSite, more: list[str], message: str
):
    names = {"key": audit_site.root / "seal.pem", "store": audit_site.root / "store"}
    result = isthmus("audit", *(argument.format(**names) for argument in more))
    assert (result.code, message in result.err) == (2, True), result.err
    assert result.err.count("\n") == 1


def test_a_store_that_cannot_be_reached_is_exit_code_3(isthmus: Isthmus, audit_site: AuditSite):
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    options = ("--endpoint", "http://127.0.0.1:1", "--public-key", audit_site.root / "seal.pem")
    result = isthmus("audit", "verify", "s3://bucket/prefix", *options, **credentials)
    assert (result.code, "EndpointConnectionError" in result.err) == (3, True), result.err


def test_stored_content_can_be_read_put_on_hold_and_erased(isthmus: Isthmus, tmp_path: Path):
    audit_site = AuditSite.at(tmp_path / "site")
    folder, site_key, wrapping = tmp_path / "keys", tmp_path / "site.key", tmp_path / "wrapping.key"
    folder.mkdir()
    site_key.write_text("ab" * 32)
    wrapping.write_text("cd" * 32)
    key = key_name(Hmacs(bytes.fromhex("ab" * 32)).subject("erika"), 30)
    content = {"messages": [{"role": "user", "content": "IBAN DE02"}]}
    line = encrypt(Keys(folder, bytes.fromhex("cd" * 32)), key, "2026-11-26", "r1", content, b"{}", False)
    writer = audit_site.writer()
    write(writer, ("intent", intent("r1")))
    fields = outcome("r1", content=reference(line, key, "2026-11-26"))
    writer.commit([writer.chain.write("outcome", "2026-11-26T15:00:00.000Z", fields)], line + b"\n")
    close(writer)
    audit_site.sealer().seal()
    look = ("audit", "content", "r1", audit_site.root / "store", "--keys", folder, "--wrapping-key", wrapping)
    volume = ("--volume", audit_site.root, "--by", "legal")
    options = ("--keys", folder, "--user", "erika", "--site-key", site_key, *volume)

    assert "IBAN DE02" in isthmus(*look).out
    assert isthmus("audit", "hold", *options, "--reason", "case 7").code == 0
    refusal = isthmus("audit", "erase", *options)
    assert (refusal.code, "case 7" in refusal.err) == (1, True)
    assert isthmus("audit", "release", *options).code == 0
    assert (
        isthmus("audit", "expire", "--keys", folder, "--as-of", "2026-12-01").out == "0 keys are destroyed.\n"
    )
    erased = isthmus("audit", "erase", *options)
    assert (erased.code, erased.out) == (0, f"1 keys of {key.partition('.')[0]} are destroyed.\n")
    gone = isthmus(*look)
    assert (gone.code, "is erased" in gone.err) == (1, True)
    audit_site.sealer().seal()
    acts: list[tuple[str, str]] = []
    proof = audit_site.verify(on_record=lambda record, _: acts.append((record["kind"], record.get("by", ""))))
    assert proof.findings == []
    # Each act is a writer of its own, and writers are read in no order of time.
    legal_acts = sorted(act for act in acts if act[1])
    assert legal_acts == [("erase", "legal"), ("hold", "legal"), ("release", "legal")]


def test_an_action_that_cannot_be_recorded_is_refused(isthmus: Isthmus, tmp_path: Path):
    key = tmp_path / "keys/2026-11-26" / f"u-{'1' * 32}.30d.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"wrapped")
    subject = ("--subject", f"u-{'1' * 32}", "--by", "legal")
    result = isthmus("audit", "erase", "--keys", tmp_path / "keys", "--volume", tmp_path, *subject)
    assert (result.code, "no seal in its folder" in result.err) == (2, True)
    assert key.exists()


def test_the_documented_commands_work(isthmus: Isthmus, tmp_path: Path):
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/audit.md").read_text(), re.M | re.S)
    preparing, shown = ([shlex.split(line) for line in block.splitlines()] for block in blocks)
    for arguments in preparing:
        target = (tmp_path / arguments[-1]).open("wb") if ">" in arguments else None
        subprocess.run(
            arguments[: arguments.index(">")] if target else arguments,
            cwd=tmp_path,
            stdout=target,
            check=True,
        )
    audit_site = AuditSite(
        tmp_path, (tmp_path / "sealer.key.pem").read_bytes(), (tmp_path / "sealer.pem").read_bytes()
    )
    for folder in ("records", "seals", "volume", "keys"):
        (tmp_path / folder).mkdir()
    for folder in ("records", "seals"):
        (tmp_path / "volume" / folder).symlink_to(tmp_path / folder)
    (tmp_path / "flows.log").write_text(
        "2 1 eni-1 10.20.4.7 10.9.9.9 4 443 6 10 8400 1795705200 1795705260 ACCEPT OK\n"
    )
    exchange(audit_site.writer(), "r1")
    audit_site.sealer().seal()
    assert len(shown) == 7
    for arguments in shown:
        assert arguments[0] == "isthmus"
        result = isthmus(*arguments[1:], cwd=tmp_path)
        assert result.code == 0, f"{shlex.join(arguments)}: {result.err}"
