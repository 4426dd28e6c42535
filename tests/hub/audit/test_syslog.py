"""Events as RFC 5424 messages, and their way to a collector."""

import json
import re
import socket
from collections.abc import Callable, Iterator

import pytest

from hub.audit import syslog
from hub.audit.models import AuditEvent
from hub.audit.services import build_event
from hub.audit.syslog import render_message, send_events
from hub.core.access import SYSTEM
from hub.core.outbound import OutboundError, OutboundRefused
from tests.bed.pki import Authority
from tests.hub.audit.receivers import SyslogCollector

pytestmark = pytest.mark.usefixtures("loopback_allowed")

# RFC 5424, section 6: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG
MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) - ([!-~]{1,32}) - (.+)"
)

Collecting = Callable[..., SyslogCollector]


@pytest.fixture
def collect() -> Iterator[Collecting]:
    made: list[SyslogCollector] = []

    def start(*arguments: Authority, **options: object) -> SyslogCollector:
        made.append(SyslogCollector(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for collector in made:
        collector.close()


def event(name: str = "p1", **fields: object) -> AuditEvent:
    return build_event(SYSTEM, "update", "pumps", object_name=name, **fields)  # type: ignore[arg-type]


def names(collector: SyslogCollector) -> list[str]:
    return [json.loads(MESSAGE.fullmatch(message)[6])["object"]["name"] for message in collector.messages]  # type: ignore[index]


@pytest.mark.parametrize(("outcome", "severity"), [("succeeded", 6), ("denied", 4), ("failed", 4), ("unknown", 4)])
def test_a_message_is_of_the_audit_facility_and_carries_the_event_as_json(outcome: str, severity: int) -> None:
    made = event(outcome=outcome)
    found = MESSAGE.fullmatch(render_message(made, "hub.example"))
    assert found is not None
    assert (int(found[1]), found[3], found[4]) == (13 * 8 + severity, b"hub.example", b"paddock")
    assert json.loads(found[6])["id"] == str(made.pk)


@pytest.mark.parametrize("name", ["a\nb", "a\r\n<13>1 x", "a\0b", "Müller 😀", "\u2028"])
def test_no_text_can_end_a_message_or_begin_another(name: str) -> None:
    message = render_message(event(name), "h")
    assert message.isascii()
    assert b"\n" not in message
    assert b"\0" not in message
    assert json.loads(MESSAGE.fullmatch(message)[6])["object"]["name"] == name  # type: ignore[index]


def test_over_tcp_all_come_in_order_and_the_end_is_waited_for(collect: Collecting) -> None:
    collector = collect()
    send_events(f"syslog+tcp://127.0.0.1:{collector.port}", "", [event(f"p{number}") for number in range(300)])
    assert names(collector) == [f"p{number}" for number in range(300)]


def test_over_tls_the_given_authority_alone_is_trusted(collect: Collecting) -> None:
    authority = Authority("collectors")
    collector = collect(authority)
    url = f"syslog+tls://localhost:{collector.port}"
    with pytest.raises(OutboundError, match="not trusted"):
        send_events(url, Authority("others").certificate_pem, [event()])
    send_events(url, authority.certificate_pem, [event("a"), event("b")])
    assert names(collector) == ["a", "b"]


def test_a_collector_that_keeps_the_connection_open_has_at_least_acknowledged_all(
    collect: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog, "CLOSE_TIMEOUT", 0.3)
    collector = collect(closes=False)
    send_events(f"syslog+tcp://127.0.0.1:{collector.port}", "", [event("kept")])
    assert names(collector) == ["kept"]


def test_a_collector_that_goes_with_bytes_unread_has_not_taken_them(collect: Collecting) -> None:
    collector = collect(reset_after=2048)
    events = [event(f"p{number}", detail={"text": "x" * 1000}) for number in range(500)]
    with pytest.raises(OutboundError):
        send_events(f"syslog+tcp://127.0.0.1:{collector.port}", "", events)


def test_over_udp_each_event_is_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        send_events(f"syslog+udp://127.0.0.1:{receiver.getsockname()[1]}", "", [event("a"), event("b")])
        found = [MESSAGE.fullmatch(receiver.recv(65536)) for _ in range(2)]
    assert [json.loads(one[6])["object"]["name"] for one in found if one] == ["a", "b"]


def test_nobody_listens_is_an_error_in_words() -> None:
    with pytest.raises(OutboundError, match="did not take"):
        send_events("syslog+tcp://127.0.0.1:1", "", [event()])


@pytest.mark.parametrize("scheme", ["syslog+tcp", "syslog+tls", "syslog+udp"])
@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "[fe80::1]", "2130706433"])
def test_sec58_addresses_that_the_guard_refuses_are_not_connected_to(scheme: str, host: str) -> None:
    with pytest.raises(OutboundRefused):
        send_events(f"{scheme}://{host}:514", "", [event()])
