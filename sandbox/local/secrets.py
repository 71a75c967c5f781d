"""Contents of the Secrets that pods mount, in place of those that an organisation provides.

All of them are made anew for each run: keys of seals, of held answers and of caches, and passwords of the database.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.contracts.reference import sign_on_proxy
from sandbox.local.authority import Authority
from sandbox.local.pods import Objects, Pod

AWS_CREDENTIALS = (
    "[default]\naws_access_key_id = sandbox\naws_secret_access_key = sandbox\n"  # gitleaks:allow
)
"""The sandbox's AWS takes any key; this one belongs to its default account."""
DATABASE_USERS = ("gateway", "reviews", "notifier")
SENIORS = ("reviewer-two", "reviewer-three")
"""Reviewers who also decide what was escalated, and stop workloads. Each has a user of the databases."""
LEDGER_USERS = ("usage", "usage_readers")
"""Users of the usage ledger: its loaders, and readers of its sums."""
CHAT_USER = "chat"
"""Owns the databases of conversations."""


@dataclass(frozen=True)
class ClassKeys:
    """The keys that the pods of one class and site share."""

    sealer_private: str
    sealer_public: str
    site: str
    wrapping: str
    salt: str
    transit: str


@dataclass
class Secrets:
    """The contents of all Secrets."""

    authority: Authority
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {
            user: secrets.token_urlsafe(24) for user in (*DATABASE_USERS, *LEDGER_USERS, *SENIORS, CHAT_USER)
        }
    )
    """Passwords of the database's users."""
    _keys: dict[tuple[str, str], ClassKeys] = field(default_factory=dict)

    def files(self, objects: Objects, pod: Pod, volume: str) -> dict[str, str]:
        """The files of a pod's Secret, by name. `volume`: the name of the volume in the pod."""
        if names := objects.certificates.get((pod.namespace, pod.volumes[volume].source)):
            certificate, key = self.authority.issue(names)
            return {"tls.crt": certificate, "tls.key": key, "ca.crt": self.authority.text}
        if pod.role == "chat":
            session = secrets.token_urlsafe(32)
            return {
                "ca.crt": self.authority.text,
                "password": self.passwords[CHAT_USER],
                "session.key": session,
            }
        if pod.role in sign_on_proxy.ROLES:
            return {"client-secret": secrets.token_urlsafe(24), "cookie-secret": secrets.token_hex(16)}
        keys = self._keys_of(pod.site, pod.data_class)
        user = pod.role if pod.role in DATABASE_USERS else "gateway"
        # A Secret holds what its pod's file names. More in the folder does no harm here.
        files = {"ca.crt": self.authority.text}
        if pod.role == "sealer":
            return {**files, "sealer.key.pem": keys.sealer_private, "credentials": AWS_CREDENTIALS}
        if pod.role == "loader":
            access = {"password": self.passwords[LEDGER_USERS[0]], "credentials": AWS_CREDENTIALS}
            return {**files, **access, "sealer.pem": keys.sealer_public}
        return {
            **files,
            "password": self.passwords[user],
            "salt": keys.salt,
            "transit": keys.transit,
            "sealer.pem": keys.sealer_public,
            "site.key": keys.site,
            "wrapping.key": keys.wrapping,
        }

    def public_key(self, site: str, data_class: str) -> str:
        """The key that verifies the seals of a class, PEM."""
        return self._keys_of(site, data_class).sealer_public

    def _keys_of(self, site: str, data_class: str) -> ClassKeys:
        if (site, data_class) not in self._keys:
            self._keys[site, data_class] = _new_keys()
        return self._keys[site, data_class]


def _new_keys() -> ClassKeys:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ClassKeys(private.decode(), public.decode(), *(secrets.token_hex(32) for _ in range(4)))
