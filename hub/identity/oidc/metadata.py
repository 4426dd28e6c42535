"""What a provider publishes about itself (OpenID Connect Discovery 1.0), read strictly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .token_checks import ALGORITHMS

DISCOVERY_PATH = "/.well-known/openid-configuration"
ADDRESS_LIMIT = 1000


class MetadataRefused(Exception):
    """``reason`` says which rule; it may name our own settings and never shows the document."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints; "" for those that a provider may leave out and has left out."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str
    names_itself: bool
    """Whether each answer to a login names its issuer (RFC 9207)."""
    logs_out_by_back_channel: bool
    takes_secret_in_header: bool
    """Whether the client shows its secret by HTTP basic authentication; else in the form."""


def discovery_url(issuer: str) -> str:
    return issuer.rstrip("/") + DISCOVERY_PATH


def check_address(text: str) -> str:
    """``text`` when it is an https URL without user, fragment and odd characters. Raises MetadataRefused."""
    try:
        parts = urlsplit(text)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        plain = False
    if not plain or parts.fragment or len(text) > ADDRESS_LIMIT or not text.isascii() or not text.isprintable():
        raise MetadataRefused("an address is no plain https URL")
    return text


def parse_metadata(document: Any, issuer: str) -> Metadata:
    """Raises MetadataRefused unless this is the document of exactly this issuer and offers what the hub needs."""
    if not isinstance(document, dict):
        raise MetadataRefused("the answer is no JSON object")
    if document.get("issuer") != issuer:
        raise MetadataRefused("the document names another issuer; the two have to be equal to the last character")
    if "code" not in _texts(document, "response_types_supported", ["code"]):
        raise MetadataRefused("the provider has no authorization code flow")
    if "S256" not in _texts(document, "code_challenge_methods_supported", ["S256"]):
        raise MetadataRefused("the provider has no PKCE with S256")
    if not ALGORITHMS.keys() & set(_texts(document, "id_token_signing_alg_values_supported", ["RS256"])):
        raise MetadataRefused("the provider signs ID tokens by no algorithm that the hub takes")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_address(document, "authorization_endpoint"),
        token_endpoint=_address(document, "token_endpoint"),
        jwks_uri=_address(document, "jwks_uri"),
        end_session_endpoint=_address(document, "end_session_endpoint", needed=False),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        logs_out_by_back_channel=document.get("backchannel_logout_supported") is True,
        takes_secret_in_header="client_secret_basic"
        in _texts(document, "token_endpoint_auth_methods_supported", ["client_secret_basic"]),
    )


def _address(document: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    found = document.get(name)
    if found is None and not needed:
        return ""
    if not isinstance(found, str):
        raise MetadataRefused(f"{name} is missing")
    return check_address(found)


def _texts(document: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    found = document.get(name, default)
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
