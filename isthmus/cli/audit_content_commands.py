"""`isthmus audit content | hold | release | erase | expire`: what was said, and the keys that open it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.audit_options import (
    AsOf,
    Ca,
    Credentials,
    Endpoint,
    Region,
    folder,
    now,
    open_store,
    store_told,
)

KeysFolder = Annotated[
    Path, typer.Option("--keys", metavar="DIR", help="The folder of content keys.", show_default=False)
]
User = Annotated[
    str | None, typer.Option(help="The `user` of the requests; needs --site-key.", show_default=False)
]
Subject = Annotated[
    str | None, typer.Option(help="The subject as records name it (u-… or r-…).", show_default=False)
]
Recorded = Annotated[
    Path,
    typer.Option(
        "--volume",
        metavar="DIR",
        help="The gateways' volume (`records` and `seals` in it): the act is recorded there first.",
        show_default=False,
    ),
]
By = Annotated[str, typer.Option(help="Who orders it.", show_default=False)]
SiteKey = Annotated[
    Path | None,
    typer.Option("--site-key", metavar="FILE", help="Under which users are named.", show_default=False),
]


def content(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.", show_default=False)],
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A folder, or s3://bucket/prefix.", show_default=False)
    ],
    keys: KeysFolder,
    wrapping_key: Annotated[
        Path, typer.Option(metavar="FILE", help="Under which the keys lie wrapped.", show_default=False)
    ],
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    credentials: Credentials = None,
    ca: Ca = None,
) -> None:
    """Print what a request asked and was answered, where its class keeps that and its key was not destroyed."""
    from edge.audit.content import decrypt
    from edge.audit.keys import Keys, read_key
    from edge.audit.records import parse
    from isthmus.cli import console
    from isthmus.core.errors import InputError, Refused

    opened = open_store(store, (endpoint, region, credentials, ca))
    try:
        opener = Keys(keys, read_key(wrapping_key))
    except (OSError, ValueError) as error:
        raise InputError(f"the key cannot be used: {error}", where=str(wrapping_key)) from None
    with store_told():
        for name in opened.names("content/"):
            for line in (opened.get(name) or b"").splitlines():
                if parse(line).get("id") != request:
                    continue
                try:
                    said = decrypt(opener, line)
                except ValueError as error:
                    raise Refused(str(error), where=f"{store}: {name}") from None
                if said is None:
                    raise Refused("its key was destroyed: what it said is erased", where=f"request {request}")
                console.print_json({**said, "answer": said["answer"].decode("utf-8", "replace")})
                return
    raise Refused("no content of this request is kept", where=store)


def hold(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    reason: Annotated[str, typer.Option(help="Why: the case's number.", show_default=False)],
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
    everybody: Annotated[bool, typer.Option("--all", help="Hold every key.")] = False,
) -> None:
    """Suspend the destruction of a subject's keys, by erasure and by expiry, until `release`."""
    from edge.audit import keys as key_files

    whose = "all" if everybody else _subject(user, subject, site_key)
    _record(volume, "hold", subject=whose, by=by, reason=reason)
    key_files.hold(folder(keys), whose, by, reason)
    print(f"{whose} is held.")


def release(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
    everybody: Annotated[bool, typer.Option("--all", help="End the hold on every key.")] = False,
) -> None:
    """End a legal hold."""
    from edge.audit import keys as key_files
    from isthmus.core.errors import Refused

    whose = "all" if everybody else _subject(user, subject, site_key)
    if whose not in key_files.holds(folder(keys)):
        raise Refused(f"there is no hold on {whose}", where=str(keys))
    _record(volume, "release", subject=whose, by=by)
    key_files.release(keys, whose)
    print(f"{whose} is held no more.")


def erase(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
) -> None:
    """Destroy a subject's keys: what was kept of its requests can be read by nobody then. Ends with 1 under a hold."""
    from edge.audit import keys as key_files
    from isthmus.core.errors import Refused

    whose = _subject(user, subject, site_key)
    try:
        key_files.require_no_hold(folder(keys), whose)
        _record(volume, "erase", subject=whose, by=by)
        count = key_files.erase(keys, whose)
    except key_files.LegalHold as error:
        raise Refused(f"{whose} is not erased: {error}", where=str(keys)) from None
    print(f"{count} keys of {whose} are destroyed.")


def expire(keys: KeysFolder, as_of: AsOf = None) -> None:
    """Destroy the keys whose days are over, but for what is held. Gateways do it every hour too."""
    from edge.audit import keys as key_files

    print(f"{key_files.expire(folder(keys), now(as_of).date())} keys are destroyed.")


def _record(volume: Path, kind: str, **fields: str) -> None:
    """Into the chain, before it is done: what cannot be recorded is not done."""
    from edge.audit.content_acts import UnknownVolume, record
    from isthmus.core.errors import InputError

    try:
        record(folder(volume), kind, fields)
    except UnknownVolume as error:
        raise InputError(
            str(error), where=str(volume), fix="Give the volume that the sealer works on"
        ) from None


def _subject(user: str | None, subject: str | None, site_key: Path | None) -> str:
    import re

    from isthmus.core.errors import InputError

    if (user is None) == (subject is None):
        raise InputError("whose is not said", where="--user", fix="Give --user with --site-key, or --subject")
    if subject is not None:
        if not re.fullmatch(r"[ur]-[0-9a-f]{32}", subject):
            raise InputError(
                "it is no subject", where="--subject", fix="As in a record: u- or r- and 32 digits"
            )
        return subject
    from edge.audit.content import Hmacs
    from edge.audit.keys import read_key

    if site_key is None:
        raise InputError(
            "a user is found by an HMAC under the site's key", where="--site-key", fix="Give its file"
        )
    try:
        return Hmacs(read_key(site_key)).subject(user or "")
    except (OSError, ValueError) as error:
        raise InputError(f"the key cannot be used: {error}", where=str(site_key)) from None
