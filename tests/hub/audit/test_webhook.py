"""Events as signed webhooks."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import pytest

from hub.audit.models import AuditEvent
from hub.audit.services import build_event
from hub.audit.webhook import build_body, build_headers, generate_secret, parse_secret, send_events
from hub.core.access import SYSTEM
from hub.core.outbound import OutboundError
from tests.bed.https_server import HttpsServer, Reply

pytestmark = pytest.mark.usefixtures("loopback_allowed")

# The key and message of the specification's own worked example.
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[HttpsServer]:
    with HttpsServer(lambda asked: Reply(status=204)) as server:
        yield server


def events(count: int = 2) -> list[AuditEvent]:
    return [build_event(SYSTEM, "update", "pumps", object_name=f"p{number}") for number in range(count)]


def test_the_signature_is_that_of_standard_webhooks() -> None:
    made = events()
    body = build_body(made)
    headers = build_headers(made, body, parse_secret(KEY), 1614265330)
    signed = f"{headers['webhook-id']}.1614265330.".encode() + body
    key = base64.b64decode(KEY.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == "1614265330"


def test_a_batch_that_is_sent_again_has_the_same_id_and_another_batch_another() -> None:
    one, other = events(), events()
    ids = [build_headers(made, b"", b"k" * 32, at)["webhook-id"] for made, at in ((one, 1), (one, 2), (other, 1))]
    assert ids[0] == ids[1] != ids[2]


def test_the_receiver_gets_type_time_and_events_in_order(receiver: HttpsServer) -> None:
    made, secret = events(3), generate_secret()
    send_events(f"{receiver.url}/audit", receiver.authority.certificate_pem, secret, made)
    (asked,) = receiver.asked
    content = json.loads(asked.body)
    assert (asked.method, asked.path, content["type"]) == ("POST", "/audit", "audit.events")
    assert [one["id"] for one in content["data"]["events"]] == [str(event.pk) for event in made]
    assert abs(int(asked.headers["webhook-timestamp"]) - time.time()) < 60
    assert secret not in str(asked)


@pytest.mark.parametrize("status", [301, 400, 410, 500, 503])
def test_any_other_answer_than_success_is_no_delivery_and_a_redirect_is_not_followed(
    receiver: HttpsServer, status: int
) -> None:
    receiver.answer = lambda asked: Reply(status=status, headers={"Location": f"{receiver.url}/elsewhere"})
    with pytest.raises(OutboundError, match=str(status)):
        send_events(receiver.url, receiver.authority.certificate_pem, KEY, events())
    assert len(receiver.asked) == 1


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"x" * 23).decode(), "x" * 40,
             "whsec_" + base64.b64encode(b"x" * 65).decode()]
)  # fmt: skip
def test_what_is_no_secret_of_the_specification_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|base64|bytes"):
        parse_secret(text)


def test_sec10_two_secrets_are_never_the_same() -> None:
    assert len({generate_secret() for _ in range(100)}) == 100
    assert len(parse_secret(generate_secret())) == 32
