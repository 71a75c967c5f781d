"""Content that the running gateway keeps: encrypted, sealed with the records, and erased with its key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from edge.audit.content import Hmacs, decrypt
from edge.audit.keys import Keys, erase
from tests.edge.audit.audited import CHAT, SECRET, SITE_KEY, WRAPPING_KEY, Audited
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat
from tests.edge.fake_model import WORDS


def test_kept_content_is_encrypted_and_destroying_its_key_erases_it(
    start: Callable[..., Audited], chain: Site, tmp_path: Path
):
    keys_folder, wrapping = tmp_path / "keys", tmp_path / "wrapping.key"
    keys_folder.mkdir()
    wrapping.write_text(WRAPPING_KEY)
    content = {"keys": str(keys_folder), "wrapping_key": str(wrapping), "days": {WORKLOAD: 30}}
    audited = start(content=content)
    audited.seal_newcomer()
    name = audited.ask(user="erika").headers["x-request-id"]
    nameless = audited.ask(stream=True).headers["x-request-id"]
    other_answer = audited.client.post(CHAT, json=chat(model="claims"), headers=bearer(KEYS["claims"]))
    audited.seal()
    proof = audited.audit_site.verify(records=audited.audit_site.records)
    assert (proof.findings, proof.contents) == ([], 2)

    line_of = {json.loads(line)["id"]: line for line in content_lines(audited.audit_site.root / "store")}
    assert set(line_of) == {name, nameless}
    assert audited.of(other_answer.headers["x-request-id"])[1]["content"] is None
    assert SECRET.encode() not in b"".join(line_of.values())
    keys = Keys(keys_folder, bytes.fromhex(WRAPPING_KEY))
    decrypted = decrypt(keys, line_of[name])
    assert decrypted is not None
    assert decrypted["asked"]["messages"] == chat()["messages"]
    assert "".join(WORDS) in json.loads(decrypted["answer"])["choices"][0]["message"]["content"]
    streamed = decrypt(keys, line_of[nameless])
    assert streamed is not None
    assert streamed["answer"].count(b"data: ") == 1 + len(WORDS), "the role comes first, then the words"

    audited.gateway.wait_for_line("audit_expired", keys=0)
    assert erase(keys_folder, Hmacs(bytes.fromhex(SITE_KEY)).subject("erika")) == 1
    assert decrypt(keys, line_of[name]) is None
    assert decrypt(keys, line_of[nameless]) is not None
    assert audited.audit_site.verify(records=audited.audit_site.records).findings == []


def content_lines(store: Path) -> list[bytes]:
    return [
        line
        for path in sorted((store / "content").rglob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
