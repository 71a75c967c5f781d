"""A review service with a desk, and people who open its pages as the sign-on's proxy sends them."""

from __future__ import annotations

import html
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from edge.audit.content import Hmacs
from edge.config import HeldKeys
from edge.reviews.envelope import Envelopes
from edge.reviews.identity import fold
from tests.edge.audit.audited import SITE_KEY
from tests.edge.issuer import AUDIENCE, CHAT, ISSUER, Issuer
from tests.edge.postgres import Postgres
from tests.edge.processes import free_port
from tests.edge.reviews.reviewed import Reviewed, reviewed

HMACS = Hmacs(bytes.fromhex(SITE_KEY))
WORKLOADS: list[dict[str, Any]] = [
    {"name": "credit", "impact": "high", "review": {"domain": "payments", "below_confidence": 0.8}},
    {"name": "claims", "impact": "high", "review": {"domain": "insurance", "below_confidence": 0.8}},
    {"name": "kyc", "impact": "high", "review": {"domain": "kyc", "below_confidence": 0.8}},
    {
        "name": "letters",
        "impact": "low",
        "review": {"domain": "payments", "below_confidence": 0.8, "sample_rate": 1.0},
    },
]
GUIDELINE = (
    "# Payments\n\nCompare **each amount**.\n\n<script>alert(1)</script>\n\n"
    "[rules](https://wiki.bank.example/rules) [bad](javascript:alert(1)) ![x](https://outside.example/x.png)"
)
GROUPS: list[dict[str, Any]] = [
    {"groups": ["payments"], "domains": ["payments"], "role": "reviewer"},
    {"groups": ["payments-heads"], "domains": ["payments"], "role": "senior"},
    {"groups": ["kyc"], "workloads": ["kyc"], "role": "reviewer"},
    {"groups": ["everything"], "role": "senior"},
    {"groups": ["kyc-domain"], "domains": ["kyc"], "role": "reviewer"},
    {"groups": ["nothing-there"], "domains": ["empty"], "role": "reviewer"},
    {"groups": ["audit"], "role": "auditor"},
    {"groups": ["owners"], "role": "owner"},
    {"groups": ["payments-owners"], "domains": ["payments"], "role": "owner"},
]
REASONS = {
    "payments": [
        {"code": "wrong-amount", "label": {"en": "Wrong amount", "de": "Falscher Betrag"}},
        {"code": "other", "label": "Other"},
    ]
}
_PUT = """
INSERT INTO isthmus.held (id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content,
    decide_by, escalated_for, delete_at, collect_for, delivered)
VALUES ($1, $2, 'fra1', $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp() + $12 * interval '1 second',
    '1 day', clock_timestamp() + interval '7 days', NULL, $13)
"""


@dataclass
class Desk:
    """A running desk and its issuer."""

    site: Reviewed
    issuer: Issuer
    port: int
    envelopes: Envelopes
    data_class: str = "restricted"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def token(self, name: str, *groups: str, **claims: Any) -> str:
        said = {"sub": name, "email": f"{name}@bank.example", "auth_time": int(time.time()), **claims}
        return self.issuer.token(list(groups), **said)

    def visitor(self, name: str, *groups: str, **claims: Any) -> Visitor:
        """A person with a browser of their own."""
        client = httpx.Client(
            base_url=self.url, verify=self.site.made.authority.client(None), trust_env=False, timeout=30
        )
        return Visitor(self, client, self.token(name, *groups, **claims))

    def put(
        self,
        workload: str = "credit",
        answer: Any = "Paid 12 EUR to Muster GmbH",
        asked: str = "Who was paid?",
        *,
        domain: str | None = "payments",
        why: list[str] | None = None,
        score: float | None = 0.4,
        by: str = "someone@bank.example",
        delivered: bool = False,
        due_s: float = 86400,
        **more: Any,
    ) -> str:
        """Put an answer away as a gateway does. Returns its id."""
        held_id, subject = more.get("held_id") or uuid.uuid4().hex, HMACS.subject(by)
        texts = answer if isinstance(answer, list) else [answer]
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": text, **more.get("message", {})},
                "finish_reason": "stop",
                **more.get("choice", {}),
            }
            for number, text in enumerate(texts)
        ]
        request = {
            "model": workload,
            "messages": [{"role": "user", "content": asked}],
            **more.get("request", {}),
        }
        line = self.envelopes.first(
            *(held_id, subject, 7, request, json.dumps({"model": "m-1", "choices": choices}).encode()),
            more.get("about"),
        )
        approvers = 1 if delivered else more.get("approvers", 2)
        values = (
            *(held_id, self.data_class, workload, domain, more.get("task", "/v1/chat/completions"), subject),
            *(
                [subject, HMACS.subject(fold(by))],
                why or ["impact"],
                score,
                approvers,
                line,
                due_s,
                delivered,
            ),
        )
        self.site.as_user("gateway", _PUT, *values)
        return held_id

    def sql(self, statement: str, held_id: str) -> list[Any]:
        """Run a statement as the administrator, with the id of an item in place of `:id`."""
        return self.site.sql(statement.replace(":id", f"'{held_id}'"))

    def row(self, held_id: str) -> Any:
        return self.sql("SELECT * FROM isthmus.held WHERE id = :id", held_id)[0]


@dataclass
class Visitor:
    """A person's browser at the desk."""

    desk: Desk
    client: httpx.Client
    token: str

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return self.client.get(path, headers={"x-forwarded-access-token": self.token, **headers})

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form as a browser does."""
        sent = {"x-forwarded-access-token": self.token, "origin": self.desk.url, **headers}
        return self.client.post(path, data=fields, headers=sent)

    def fields(self, page: str, action: str) -> dict[str, str]:
        """The fields of a form on a page as it stands, without what nobody has chosen."""
        return form_of(page, action)

    def claim(self, held_id: str) -> str:
        """Claim an item, and return its page."""
        path = f"/items/{held_id}"
        claimed = self.post(f"{path}/claim", self.fields(self.get(path).text, f"{path}/claim"))
        assert (claimed.status_code, claimed.headers.get("location")) == (303, path), claimed.text
        page = self.get(path)
        assert page.status_code == 200
        return page.text

    def decide(self, held_id: str, act: str, page: str | None = None, **fields: str) -> httpx.Response:
        """Claim an item unless its page is given, and send the form of its decision."""
        page = page or self.claim(held_id)
        path = f"/items/{held_id}/decide"
        reason = {} if act == "approve" else {"reason": "wrong-amount"}
        return self.post(path, {**self.fields(page, path), "act": act, **reason, **fields})


def form_of(page: str, action: str) -> dict[str, str]:
    """The fields of a form on a page."""
    form = re.search(rf'<form method="post" action="{action}".*?</form>', page, re.S)
    assert form, f"no form {action} in {page}"
    return form_fields(form[0])


def form_fields(form: str) -> dict[str, str]:
    """The names and values of a form's HTML, as a browser would send them."""
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ("radio" not in tag or " checked" in tag):
            fields[html.unescape(name[1])] = html.unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea name="([^"]*)"[^>]*>\n?(.*?)</textarea>', form, re.S):
        fields[html.unescape(name)] = html.unescape(text)
    for name, options in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[html.unescape(name)] = html.unescape(chosen[1]) if chosen else ""
    return fields


@contextmanager
def desk_at_work(postgres: Postgres, folder: Path, database: str, **settings: Any) -> Iterator[Desk]:
    """A gateway, and a review service with a desk. `settings`: further keys of `desk`."""
    issuer, port = Issuer(), free_port()
    file = folder / "jwks.json"
    file.write_text(issuer.published())
    desk = {
        "listen": {
            **{"host": "127.0.0.1", "port": port},
            **{"certificate": str(folder / "desk.crt"), "key": str(folder / "desk.key")},
        },
        "url": f"https://127.0.0.1:{port}",
        "groups": GROUPS,
        "reasons": REASONS,
        "guidelines": {"credit": GUIDELINE},
        "score_after_first_judgement": ["kyc"],
        **settings,
    }
    tokens = {"issuer": ISSUER, "audiences": [AUDIENCE], "clients": [CHAT], "jwks_file": str(file)}
    more = {"tokens": tokens, "desk": desk}
    with reviewed(folder, postgres, database, WORKLOADS, desk=more) as site:
        held = site.desk_config["held"]
        keys = HeldKeys(keys=Path(held["keys"]), wrapping_key=Path(held["wrapping_key"]))
        running = Desk(site, issuer, port, Envelopes(keys, "held"))
        yield running
