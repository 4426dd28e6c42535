"""/api/v1/audit-forwarders"""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent, AuditForwarder
from hub.audit.services import record
from hub.core.access import SYSTEM
from tests.hub.api.callers import Caller, denials

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
WEBHOOK = {"name": "siem", "url": "https://198.18.0.1/audit"}


@pytest.fixture(autouse=True)
def _reserved_addresses_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.audit import forwarders
    from kube.guard import AddressGuard

    guard = AddressGuard(["198.18.0.0/15"], resolver=lambda host, port: ["198.18.0.1"])
    monkeypatch.setattr(forwarders, "address_guard", lambda: guard)


def body(**changes: Any) -> dict[str, Any]:
    return {**WEBHOOK, **changes}


def test_a_webhook_gets_a_secret_that_is_shown_once(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body())
    assert made.status == 201
    assert made.body["signing_secret"].startswith("whsec_")
    assert AuditForwarder.objects.get().secret.reveal() == made.body["signing_secret"]
    shown = admin.get(f"audit-forwarders/{made.body['id']}").body
    assert "signing_secret" not in shown
    assert (shown["signs"], shown["last_event"], shown["last_error"]) == (True, None, "")


def test_a_given_secret_is_not_shown_at_all(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body(signing_secret=SECRET))
    assert made.status == 201
    assert SECRET not in made.response.content.decode()
    assert AuditForwarder.objects.get().secret.reveal() == SECRET


def test_how_far_it_is_can_be_read(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body()).body
    mark = record(SYSTEM, "update", "pumps")
    event = AuditEvent.objects.get(pk=mark.pk)
    AuditForwarder.objects.update(transaction=event.transaction, event_id=event.pk, last_error="away", failures=3)
    shown = admin.get(f"audit-forwarders/{made['id']}").body
    assert (shown["last_event"], shown["pending_since"], shown["lag_seconds"]) == (str(event.pk), None, 0)
    assert (shown["last_error"], shown["failures"]) == ("away", 3)
    late = AuditEvent(at=timezone.now() - timedelta(seconds=90), actor_kind="x", actor_name="x", verb="x", resource="x")
    late.outcome = "succeeded"
    late.save(force_insert=True)
    (shown,) = admin.items("audit-forwarders")
    assert 90 <= shown["lag_seconds"] < 150


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"name": "No Label"}, "/name", "audit_forwarder.name_invalid"),
        ({"url": "http://198.18.0.1/"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://user:pw@198.18.0.1/"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://198.18.0.1/?key=x"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://198.18.0.1/#x"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://198.18.0.1:99999/"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "syslog+tls://198.18.0.1/path"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https:///x"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://[x/"}, "/url", "audit_forwarder.url_invalid"),
        ({"url": "https://169.254.169.254/"}, "/url", "audit_forwarder.address_refused"),
        ({"url": "syslog+udp://127.0.0.1"}, "/url", "audit_forwarder.address_refused"),
        ({"ca_pem": "no pem"}, "/ca_pem", "audit_forwarder.ca_invalid"),
        ({"signing_secret": "short"}, "/signing_secret", "audit_forwarder.secret_invalid"),
        (
            {"url": "syslog+tls://198.18.0.1", "signing_secret": SECRET},
            "/signing_secret",
            "audit_forwarder.secret_invalid",
        ),
    ],
)
def test_sec58_what_cannot_work_is_refused_with_its_place(
    admin: Caller, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = admin.post("audit-forwarders", body(**changes))
    assert (answer.faults, AuditForwarder.objects.count()) == ({pointer: code}, 0)


def test_a_name_is_taken_once(admin: Caller) -> None:
    admin.post("audit-forwarders", body())
    assert admin.post("audit-forwarders", body()).code == "audit_forwarder.name_taken"


def test_syslog_has_no_secret(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body(url="syslog+tls://198.18.0.1:6514"))
    assert (made.status, made.body["signs"], "signing_secret" in made.body) == (201, False, False)


def test_a_change_is_tried_at_once_and_told_without_the_secret(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body()).body
    AuditForwarder.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
    changed = admin.patch(f"audit-forwarders/{made['id']}", {"is_enabled": False, "signing_secret": SECRET})
    assert (changed.status, changed.body["is_enabled"], changed.body["next_attempt_at"]) == (200, False, None)
    (event,) = AuditEvent.objects.filter(verb="update", resource="audit-forwarders")
    assert event.changes == {"is_enabled": [True, False], "secret": ["***", "***"]}


def test_sec02_a_secret_does_not_follow_to_another_receiver(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body()).body
    path, elsewhere = f"audit-forwarders/{made['id']}", "https://198.18.0.2/audit"
    assert admin.patch(path, {"url": elsewhere}).faults == {"/signing_secret": "audit_forwarder.secret_invalid"}
    assert admin.patch(path, {"url": elsewhere, "signing_secret": SECRET}).status == 200
    assert admin.patch(path, {"url": f"{elsewhere}/v2"}).status == 200


def test_progress_is_no_change_that_a_writer_could_be_held_against(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body())
    AuditForwarder.objects.update(failures=7)
    assert admin.patch(f"audit-forwarders/{made.body['id']}", {"is_enabled": False}, etag=made.etag).status == 200


def test_it_is_deleted(admin: Caller) -> None:
    made = admin.post("audit-forwarders", body()).body
    assert admin.delete(f"audit-forwarders/{made['id']}").status == 204
    assert AuditForwarder.objects.count() == 0
    assert AuditEvent.objects.filter(verb="delete", object_id=made["id"]).count() == 1


def test_they_are_the_hub_s_and_no_tenant_s(admin: Caller, owner: Caller, nobody: Caller) -> None:
    made = admin.post("audit-forwarders", body()).body
    for caller in (owner, nobody):
        assert caller.post("audit-forwarders", body(name="mine")).status == 403
        assert caller.items("audit-forwarders") == []
        assert caller.get(f"audit-forwarders/{made['id']}").status == 404
        assert caller.delete(f"audit-forwarders/{made['id']}").status == 404
        assert ("create", "audit-forwarders", None) in denials(caller)
