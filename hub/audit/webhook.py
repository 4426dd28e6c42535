"""Events as webhooks: batches of JSON over HTTPS, signed as the Standard Webhooks specification says (version 1).

``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` go as headers; the signature is HMAC-SHA-256 over
``<id>.<timestamp>.<body>`` under the key that the receiver has too (``whsec_<base64>``). The id of a batch follows from its
events, so a batch that is sent again has the same one.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from hub.core.outbound import OutboundError, guarded_session

from .documents import event_document
from .models import AuditEvent

SECRET_PREFIX = "whsec_"  # noqa: S105  # how it begins, not one
SECRET_BYTES = (24, 64)
EVENT_TYPE = "audit.events"


def generate_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def parse_secret(text: str) -> bytes:
    """The key of ``whsec_<base64>``. Raises ValueError."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"begins with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("is base64 after its prefix") from error
    if not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise ValueError(f"has {SECRET_BYTES[0]} to {SECRET_BYTES[1]} bytes")
    return key


def build_body(events: Sequence[AuditEvent]) -> bytes:
    documents = [event_document(event) for event in events]
    content: dict[str, Any] = {
        "type": EVENT_TYPE,
        "timestamp": documents[-1]["at"],
        "data": {"events": documents},
    }
    return json.dumps(content, separators=(",", ":")).encode()


def build_headers(events: Sequence[AuditEvent], body: bytes, key: bytes, timestamp: int) -> dict[str, str]:
    """``timestamp``: seconds since 1970 at which this attempt is made."""
    digest = hashlib.sha256("".join(str(event.pk) for event in events).encode()).hexdigest()
    id = f"msg_{digest[:32]}"
    signature = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def send_events(url: str, ca_pem: str, secret: str, events: Sequence[AuditEvent]) -> None:
    """Hands the events over, in order. Raises OutboundError; then any of them may have arrived."""
    body = build_body(events)
    with guarded_session(ca_pem=ca_pem) as session:
        answer = session.post(
            url, data=body, headers=build_headers(events, body, parse_secret(secret), int(time.time()))
        )
    if not 200 <= answer.status_code < 300:
        raise OutboundError(f"The receiver answered {answer.status_code}")
