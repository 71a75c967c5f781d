"""A person's start page at a chat: incidents, chats, own requests, desks, boards, whom to ask, what is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from edge.chats.pages import PATH as REQUESTS
from edge.chats.pages import escaped, page
from edge.chats.sign_on import Visitor
from edge.config.chat import START_PATH, ChatConfig, HelpContact, Place

PATH = START_PATH
_WAITING = ("held", "escalated", "open")


def start_page(
    config: ChatConfig,
    visitor: Visitor,
    workloads: Sequence[Mapping[str, Any]] | None,
    requests: Sequence[Mapping[str, Any]] | None,
) -> str:
    """The page of one person.

    Args:
        config: The chat's settings.
        visitor: The person.
        workloads: The gateway's `GET /v1/workloads`; None if it does not answer.
        requests: The gateway's `GET /v1/reviews`; None if it has no reviews or does not answer.
    """
    known = workloads or []
    own = [place for place in config.places if visitor.person.groups.intersection(place.groups)]
    desks, boards = (_links(own, kind, "Class") for kind in ("desk", "board"))
    return page(
        config,
        "Start",
        "<h1>Start</h1>"
        + _incidents(workloads)
        + _chats(config, visitor, own)
        + _requests(requests)
        + (f"<h2>Review desks</h2><ul>{desks}</ul>" if desks else "")
        + (f"<h2>Boards</h2><ul>{boards}</ul>" if boards else "")
        + _used([workload for workload in known if "this_month" in workload])
        + _contacts([contact for contact in config.help if _helps(contact, visitor)]),
    )


def _incidents(workloads: Sequence[Mapping[str, Any]] | None) -> str:
    if workloads is None:
        return (
            '<h2>Incidents</h2><p class="incident">The gateway of this class does not answer. '
            "Chats of this class get no answers until it does.</p>"
        )
    stopped = [workload for workload in workloads if workload["status"] == "stopped"]
    if not stopped:
        return "<h2>Incidents</h2><p>No incident is known now.</p>"
    items = "".join(
        f'<p class="incident"><strong>{escaped(workload["id"])}</strong> is stopped. {escaped(workload["message"])}</p>'
        for workload in stopped
    )
    return f"<h2>Incidents</h2>{items}"


def _chats(config: ChatConfig, visitor: Visitor, places: Sequence[Place]) -> str:
    offered = ", ".join(escaped(name) for name in sorted(visitor.workloads))
    this = (
        f'<li><a href="/">Chat of class {config.data_class}</a><br><span class="soft">{offered}</span></li>'
    )
    return f"<h2>My chats</h2><ul>{this}{_links(places, 'chat', 'Chat of class')}</ul>"


def _links(places: Sequence[Place], kind: str, words: str) -> str:
    """The places of a kind as items of a list, each with its class after `words`. Empty: there are none."""
    return "".join(
        f'<li><a href="{escaped(place.url)}">{words} {place.data_class}</a>'
        f'<br><span class="soft">{escaped(urlsplit(place.url).netloc)}</span></li>'
        for place in places
        if place.kind == kind
    )


def _requests(requests: Sequence[Mapping[str, Any]] | None) -> str:
    if requests is None:
        return ""
    waiting = sum(entry["status"] in _WAITING for entry in requests)
    sentence = "Nothing of yours waits for a person" if not waiting else f"{waiting} wait for a person"
    return f'<h2>My requests</h2><p>{sentence}. <a href="{REQUESTS}">All my requests</a></p>'


def _used(owned: Sequence[Mapping[str, Any]]) -> str:
    if not owned:
        return ""
    rows = "".join(_row(workload, use) for workload in owned for use in workload["this_month"])
    without = [workload["id"] for workload in owned if not workload["this_month"]]
    table = (
        "<table><thead><tr><th>Workload</th><th>Limit of</th><th>Used</th><th>Limit</th><th>Share</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else ""
    )
    rest = f"<p>No monthly limit: {escaped(', '.join(without))}.</p>" if without else ""
    return f'<h2>Used this month</h2><p class="soft">Of the workloads that you own, in this class.</p>{table}{rest}'


def _row(workload: Mapping[str, Any], use: Mapping[str, Any]) -> str:
    form = "{:,.2f} USD" if use["unit"] == "usd" else "{:,.0f} tokens"
    share = use["used"] / use["limit"] if use["limit"] else 1.0
    return (
        f"<tr><td>{escaped(workload['id'])}</td><td>{escaped(use['of'])}</td><td>{form.format(use['used'])}</td>"
        f"<td>{form.format(use['limit'])}</td><td>{share:.0%} "
        f'<meter min="0" max="1" high="0.9" value="{min(share, 1):.3f}" aria-label="{share:.0%} of the limit"></meter>'
        "</td></tr>"
    )


def _contacts(contacts: Sequence[HelpContact]) -> str:
    items = "".join(_contact(contact) for contact in contacts)
    return f"<h2>Whom to ask</h2><ul>{items}</ul>" if items else ""


def _contact(contact: HelpContact) -> str:
    ways = []
    if contact.mail:
        ways.append(f'<a href="mailto:{escaped(contact.mail)}">{escaped(contact.mail)}</a>')
    if contact.phone:
        ways.append(
            f'<a href="tel:{escaped(contact.phone.translate(_NO_SPACES))}">{escaped(contact.phone)}</a>'
        )
    if contact.page:
        ways.append(f'<a href="{escaped(contact.page)}">{escaped(urlsplit(contact.page).netloc)}</a>')
    about = f" · {escaped(', '.join(contact.workloads))}" if contact.workloads else ""
    return f"<li>{escaped(contact.name)}{about}<br>{' · '.join(ways)}</li>"


_NO_SPACES = str.maketrans("", "", " ()/-")


def _helps(contact: HelpContact, visitor: Visitor) -> bool:
    return not contact.workloads or bool(visitor.workloads.intersection(contact.workloads))
