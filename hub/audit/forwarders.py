"""Who gets a copy of the trail: forwarders are made, changed and deleted; ``forwarding`` does their work."""

from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from hub.core.access import Actor
from hub.core.address_guard import address_guard
from hub.core.changes import current_position, record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.outbound import OutboundRefused, guarded_session
from kube.errors import AddressRefused, Unavailable
from kube.names import check_dns_label

from . import webhook
from .diff import diff
from .models import AuditForwarder
from .services import record
from .syslog import DEFAULT_PORTS

SCHEMES = ("https", *DEFAULT_PORTS)
RESOURCE = "audit-forwarders"

define("audit_forwarder.name_invalid", 400, "The name of the forwarder is not valid")
define("audit_forwarder.name_taken", 409, "There is a forwarder of this name already")
define("audit_forwarder.url_invalid", 400, "The address of the receiver is not valid")
define("audit_forwarder.address_refused", 422, "The hub does not connect to this address")
define("audit_forwarder.ca_invalid", 400, "The CA is not a PEM certificate")
define("audit_forwarder.secret_invalid", 400, "The signing secret is not valid")


def create_forwarder(
    actor: Actor, name: str, url: str, *, ca_pem: str = "", secret: str | None = None, is_enabled: bool = True
) -> tuple[AuditForwarder, str | None]:
    """A forwarder that begins with the events from now on, and its secret when that was made here (a webhook's without
    a given one). Raises HubError ``audit_forwarder.*``.
    """
    _check_name(name)
    _check_address(url)
    _check_ca(ca_pem)
    made = webhook.generate_secret() if secret is None and _is_webhook(url) else None
    forwarder = AuditForwarder(name=name, url=url, ca_pem=ca_pem, is_enabled=is_enabled, transaction=current_position())
    forwarder.secret = _checked_secret(url, made or secret or "")
    shown = {"url": url, "ca_pem": ca_pem, "is_enabled": is_enabled, "secret": forwarder.secret}
    try:
        with transaction.atomic():
            record_insert(forwarder)
            record(actor, "create", RESOURCE, forwarder, changes=diff({}, shown))
    except IntegrityError as error:
        raise HubError("audit_forwarder.name_taken", pointer="/name", name=name) from error
    return forwarder, made


def update_forwarder(
    actor: Actor,
    forwarder: AuditForwarder,
    *,
    secret: str | None = None,
    expected_version: int | None = None,
    **new: Any,
) -> AuditForwarder:
    """Changes ``url``, ``ca_pem``, ``is_enabled`` and ``secret`` as far as given; a new attempt is made at once.

    A webhook that gets its events elsewhere needs its secret again: it was for the receiver before. Raises HubError
    ``audit_forwarder.*``, StaleVersion.
    """
    before = {name: getattr(forwarder, name) for name in (*new, "secret")}
    url = new.get("url", forwarder.url)
    if url != forwarder.url:
        _check_address(url)
    _check_ca(new.get("ca_pem", forwarder.ca_pem))
    if secret is None and _is_webhook(url) and urlsplit(url).netloc != urlsplit(forwarder.url).netloc:
        raise HubError("audit_forwarder.secret_invalid", pointer="/signing_secret", rule="needed for another receiver")
    if secret is not None or not _is_webhook(url):
        forwarder.secret = _checked_secret(url, secret or "")
    for name, value in new.items():
        setattr(forwarder, name, value)
    forwarder.next_attempt_at = None
    after = {name: getattr(forwarder, name) for name in new}
    changes = diff({name: before[name] for name in new}, after)
    if secret is not None:
        changes |= diff({"secret": before["secret"]}, {"secret": forwarder.secret})
    with transaction.atomic():
        record_update(forwarder, [*new, "secret", "next_attempt_at"], expected_version=expected_version)
        record(actor, "update", RESOURCE, forwarder, changes=changes)
    return forwarder


def delete_forwarder(actor: Actor, forwarder: AuditForwarder, *, expected_version: int | None = None) -> None:
    """What it has not delivered is not delivered any more. Raises StaleVersion."""
    with transaction.atomic():
        record(actor, "delete", RESOURCE, forwarder, changes=diff({"url": forwarder.url}, {}))
        record_delete(forwarder, expected_version=expected_version)


def _is_webhook(url: str) -> bool:
    return url.startswith("https:")


def _check_name(name: str) -> None:
    try:
        check_dns_label(name)
    except ValueError as error:
        raise HubError("audit_forwarder.name_invalid", pointer="/name", rule=str(error)) from error


def _check_address(url: str) -> None:
    """What the guard would refuse is refused now; a name that the DNS does not know now may be known later."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise HubError("audit_forwarder.url_invalid", pointer="/url", known=SCHEMES) from None
    plain = parts.scheme in SCHEMES and host and port != 0 and "@" not in parts.netloc and not parts.query
    if not plain or parts.fragment or (parts.path.strip("/") and not _is_webhook(url)) or not url.isprintable():
        rule = "a scheme, a host, for a webhook a path; no user, query or fragment"
        raise HubError("audit_forwarder.url_invalid", pointer="/url", rule=rule, known=SCHEMES)
    try:
        address_guard().resolve(str(host), port or DEFAULT_PORTS.get(parts.scheme, 443))
    except AddressRefused as error:
        raise HubError("audit_forwarder.address_refused", pointer="/url", message=error.message) from error
    except Unavailable:
        return


def _check_ca(ca_pem: str) -> None:
    try:
        guarded_session(ca_pem=ca_pem).close()
    except OutboundRefused as error:
        raise HubError("audit_forwarder.ca_invalid", pointer="/ca_pem") from error


def _checked_secret(url: str, secret: str) -> str:
    if not _is_webhook(url):
        if secret:
            raise HubError("audit_forwarder.secret_invalid", pointer="/signing_secret", rule="syslog signs nothing")
        return ""
    try:
        webhook.parse_secret(secret)
    except ValueError as error:
        raise HubError("audit_forwarder.secret_invalid", pointer="/signing_secret", rule=str(error)) from error
    return secret
