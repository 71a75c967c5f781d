"""`isthmus audit content | hold | release | erase | expire`: recorded content, and the keys that decrypt it."""

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
    StoreAccess,
    existing_folder,
    open_store,
    parse_as_of,
    store_errors,
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
        help="The gateways' volume (with `records` and `seals`): the action is recorded there first.",
        show_default=False,
    ),
]
By = Annotated[str, typer.Option(help="Who orders it.", show_default=False)]
SiteKey = Annotated[
    Path | None,
    typer.Option(
        "--site-key",
        metavar="FILE",
        help="The site's key, from which subjects are derived.",
        show_default=False,
    ),
]
Chats = Annotated[
    list[Path] | None,
    typer.Option(
        "--chats",
        metavar="FILE",
        help="The database of a chat (docs/chat.md): the person's conversations there too. May be repeated.",
        show_default=False,
    ),
]


def content(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.", show_default=False)],
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A folder, or s3://bucket/prefix.", show_default=False)
    ],
    keys: KeysFolder,
    wrapping_key: Annotated[
        Path, typer.Option(metavar="FILE", help="The key that encrypts the content keys.", show_default=False)
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

    opened = open_store(store, StoreAccess(endpoint=endpoint, region=region, credentials=credentials, ca=ca))
    try:
        opener = Keys(keys, read_key(wrapping_key))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the key cannot be used: {error}", where=str(wrapping_key), fix="Give the wrapping key"
        ) from None
    with store_errors():
        for name in opened.names("content/"):
            for line in (opened.get(name) or b"").splitlines():
                if parse(line).get("id") != request:
                    continue
                try:
                    decrypted = decrypt(opener, line)
                except ValueError as error:
                    raise Refused(str(error), where=f"{store}: {name}") from None
                if decrypted is None:
                    raise Refused("its content is erased: its key was destroyed", where=f"request {request}")
                console.print_json({**decrypted, "answer": decrypted["answer"].decode("utf-8", "replace")})
                return
    raise Refused("the store has no content of this request", where=store)


def hold(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    reason: Annotated[str, typer.Option(help="Why: the case's number.", show_default=False)],
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
    everybody: Annotated[bool, typer.Option("--all", help="Hold every key.")] = False,
    chats: Chats = None,
) -> None:
    """Suspend the destruction of a subject's keys, by erasure and by expiry, until `release`."""
    from edge.audit import keys as key_files
    from isthmus.cli import audit_chats

    whose = "all" if everybody else _subject(user, subject, site_key)
    name = audit_chats.name_in(chats, user, everybody=everybody)
    record_act(volume, "hold", subject=whose, by=by, reason=reason)
    key_files.hold(existing_folder(keys), whose, by, reason)
    audit_chats.hold(chats, name, by, reason)
    print(f"{whose} is held.")


def release(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
    everybody: Annotated[bool, typer.Option("--all", help="End the hold on every key.")] = False,
    chats: Chats = None,
) -> None:
    """End a legal hold."""
    from edge.audit import keys as key_files
    from isthmus.cli import audit_chats
    from isthmus.core.errors import Refused

    whose = "all" if everybody else _subject(user, subject, site_key)
    name = audit_chats.name_in(chats, user, everybody=everybody)
    if whose not in key_files.holds(existing_folder(keys)):
        raise Refused(f"there is no hold on {whose}", where=str(keys))
    record_act(volume, "release", subject=whose, by=by)
    key_files.release(keys, whose)
    audit_chats.release(chats, name)
    print(f"The hold on {whose} has ended.")


def erase(
    keys: KeysFolder,
    volume: Recorded,
    by: By,
    user: User = None,
    subject: Subject = None,
    site_key: SiteKey = None,
    chats: Chats = None,
) -> None:
    """Destroy a subject's keys, so that nobody can read its recorded content. The exit code is 1 under a hold."""
    from edge.audit import keys as key_files
    from isthmus.cli import audit_chats
    from isthmus.core.errors import Refused

    whose = _subject(user, subject, site_key)
    name = audit_chats.name_in(chats, user)
    try:
        key_files.require_no_hold(existing_folder(keys), whose)
        audit_chats.require_no_hold(chats, name)
        record_act(volume, "erase", subject=whose, by=by)
        count = key_files.erase(keys, whose)
        conversations = audit_chats.erase(chats, name)
    except key_files.LegalHold as error:
        raise Refused(f"{whose} is not erased: {error}", where=str(keys)) from None
    print(f"{count} keys of {whose} are destroyed.")
    if chats:
        print(f"{conversations} conversations are deleted.")


def expire(keys: KeysFolder, as_of: AsOf = None) -> None:
    """Destroy expired keys, except keys under a hold. Gateways also do it every hour."""
    from edge.audit import keys as key_files

    print(f"{key_files.expire(existing_folder(keys), parse_as_of(as_of).date())} keys are destroyed.")


def record_act(volume: Path, kind: str, **fields: str | int) -> None:
    """Record an action in the audit chain before it is done; if that fails, it is not done."""
    from edge.audit.content_acts import UnknownVolume, record
    from isthmus.core.errors import InputError

    try:
        record(existing_folder(volume), kind, fields)
    except UnknownVolume as error:
        raise InputError(str(error), where=str(volume), fix="Give the volume of the sealer") from None


def _subject(user: str | None, subject: str | None, site_key: Path | None) -> str:
    import re

    from isthmus.core.errors import InputError

    if (user is None) == (subject is None):
        raise InputError(
            "no subject is given, or two are", where="--user", fix="Give --user with --site-key, or --subject"
        )
    if subject is not None:
        if not re.fullmatch(r"[ur]-[0-9a-f]{32}", subject):
            raise InputError(
                f"`{subject}` is not a subject",
                where="--subject",
                fix="Copy it from a record: u- or r- and 32 hexadecimal digits",
            )
        return subject
    from edge.audit.content import Hmacs
    from edge.audit.keys import read_key

    if site_key is None:
        raise InputError(
            "--user needs the site's key, from which the subject is derived",
            where="--site-key",
            fix="Give the file of the key",
        )
    try:
        return Hmacs(read_key(site_key)).subject(user or "")
    except (OSError, ValueError) as error:
        raise InputError(f"the key cannot be used: {error}", where=str(site_key)) from None
