"""Join tokens of K3s and RKE2: their forms, and who may join with which.

Forms: `K10<sha256 of the CA bundle>::<user>:<password>`, a bare password, or a bootstrap token `id.secret`. Source:
contract guest-bootstrap §3.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from simulator.guests.distribution import Role

_HASH_LENGTH = 64
_BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_USERS: dict[Role, str] = {"server": "server", "agent": "node"}


class TokenRefused(ValueError):
    """The token is malformed, pins another CA, or is not one the cluster knows for that role."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A parsed token; `ca_hash` and `user` are empty when the token does not tell them."""

    ca_hash: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"JoinToken(ca_hash={self.ca_hash!r}, user={self.user!r})"


def parse_token(token: str) -> JoinToken:
    """Reads any form. Raises TokenRefused, which never repeats the token."""
    if not token:
        raise TokenRefused("token must not be empty")
    if not token.startswith("K10"):
        return JoinToken("", "", token)
    ca_hash, separator, rest = token[3:].partition("::")
    if not separator:
        raise TokenRefused("invalid token format")
    if ca_hash and (len(ca_hash) != _HASH_LENGTH or not set(ca_hash) <= set("0123456789abcdef")):
        raise TokenRefused("invalid token CA hash length")
    if _BOOTSTRAP.fullmatch(rest):
        return JoinToken(ca_hash, "", rest)
    user, separator, password = rest.partition(":")
    if not separator or not password:
        raise TokenRefused("invalid token format")
    return JoinToken(ca_hash, user, password)


def ca_bundle_hash(bundle: bytes) -> str:
    """What `K10` pins: of a single certificate the file's own bytes, of a chain the DER form of its root."""
    certificates = x509.load_pem_x509_certificates(bundle)
    if len(certificates) == 1:
        return hashlib.sha256(bundle).hexdigest()
    roots = [c for c in certificates if c.subject == c.issuer]
    return hashlib.sha256((roots or certificates)[-1].public_bytes(Encoding.DER)).hexdigest()


def check_ca_hash(token: JoinToken, bundle: bytes) -> None:
    """Raises TokenRefused when the token pins another CA than the one the server shows."""
    seen = ca_bundle_hash(bundle)
    if token.ca_hash and token.ca_hash != seen:
        raise TokenRefused(f"token CA hash does not match the Cluster CA certificate hash: {token.ca_hash} != {seen}")


def check_password(token: JoinToken, role: Role, *, server_password: str, agent_password: str) -> None:
    """Raises TokenRefused unless the token lets this role join.

    A server always joins as user `server`. An agent joins as the user its token names, or as `node`: the server token
    opens the agents' door as well, the agent token never the servers'.
    """
    user = "server" if role == "server" else token.user or _USERS[role]
    expected = {"server": server_password, "node": agent_password or server_password}.get(user)
    if expected is None or not hmac.compare_digest(token.password.encode(), expected.encode()):
        raise TokenRefused("401 Unauthorized")
