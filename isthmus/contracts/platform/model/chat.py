"""The chat of a class: where people open it, its database, and the sign-on before it. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.callers import GatewayDatabase
from isthmus.contracts.platform.model.people import HttpsUrl
from isthmus.contracts.vocabulary import Cidr, ImageReference, KubeName, Part, Quantity


class ChatDatabase(GatewayDatabase):
    """PostgreSQL with people's conversations, for one class at one site."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "chat"
    """Name of the database. It is not the gateway's."""
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "chat"
    """User as whom the chat signs in, who owns the database."""


class GatewayChat(Part):
    """The chat for people who may use workloads of a gateway by `people.users`. It has two namespaces of its own: the
    chat's, and that of the proxy at which people sign on."""

    url: HttpsUrl = Field(examples=["https://chat-confidential.bank.example"])
    """Where people open it. The sign-on redirects to `/oauth2/callback` below it."""
    database: ChatDatabase
    """Where conversations are kept."""
    client: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    """Its client at the sign-on. Absent: the only one of `people.sign_on.clients`."""
    history_days: int | None = Field(default=None, ge=0, le=3660)
    """Days for which conversations are kept, from their last message. Absent: as many as the class allows. 0: chats are
    temporary, and nothing is kept."""
    secret: KubeName = "chat"  # noqa: S105 (a name)
    """Secret in the chat's namespace with `password` and `ca.crt` of the database, and `session.key`."""
    sign_on_secret: KubeName = "sign-on"  # noqa: S105 (a name)
    """Secret in the namespace of its sign-on's proxy with `client-secret` and `cookie-secret`."""
    from_cidrs: list[Cidr] = []
    """Networks from which people reach it."""
    from_namespaces: list[KubeName] = []
    """Namespaces from which they do, such as that of an ingress controller."""
    image: ImageReference | None = None
    """Another chat than Open WebUI, which asks models by OpenAI's API. Absent: `images.chat`."""
    cpu: Quantity = "1"
    """CPUs of the chat, request and limit."""
    memory: Quantity = "2Gi"
    """Memory of the chat."""
