"""Every event reaches every receiver, in order and at least once, whatever breaks on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone

from hub.audit import forwarding
from hub.audit.forwarders import create_forwarder
from hub.audit.forwarding import Position, events_after, forward, forward_all
from hub.audit.models import AuditEvent, AuditForwarder
from hub.audit.services import delete_events_older_than, record
from hub.core.access import SYSTEM
from hub.core.changes import current_position
from tests.bed.https_server import Asked, HttpsServer, Reply

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback_allowed")]


@pytest.fixture
def receiver() -> Iterator[HttpsServer]:
    with HttpsServer(lambda asked: Reply(status=204)) as server:
        yield server


@pytest.fixture
def forwarder(receiver: HttpsServer) -> AuditForwarder:
    made, _ = create_forwarder(SYSTEM, "siem", receiver.url, ca_pem=receiver.ca_pem)
    forward(made)  # the event of its own making
    receiver.asked.clear()
    made.refresh_from_db()
    return made


def received(receiver: HttpsServer) -> list[str]:
    """Ids of events as they came, batch after batch."""
    return [one["id"] for asked in receiver.asked for one in json.loads(asked.body)["data"]["events"]]


def write(*names: str) -> list[str]:
    return [str(record(SYSTEM, "update", "pumps", object_name=name).pk) for name in names]


def fresh(forwarder: AuditForwarder) -> AuditForwarder:
    return AuditForwarder.objects.get(pk=forwarder.pk)


def test_a_forwarder_begins_with_its_own_making_and_then_tells_each_event_once(receiver: HttpsServer) -> None:
    write("earlier")
    made, secret = create_forwarder(SYSTEM, "siem", receiver.url, ca_pem=receiver.ca_pem)
    assert secret is not None
    ids = write("a", "b", "c")
    assert forward_all() == 4
    assert received(receiver)[1:] == ids
    assert forward_all() == 0
    more = write("d")
    assert forward_all() == 1
    assert received(receiver)[4:] == more
    row = fresh(made)
    assert (str(row.event_id), row.failures, row.last_error, row.version) == (more[0], 0, "", 1)
    assert row.last_delivery_at is not None


def test_many_events_go_in_batches_and_in_order(
    receiver: HttpsServer, forwarder: AuditForwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "BATCH", 10)
    monkeypatch.setattr(events_after, "__defaults__", (10,))
    with transaction.atomic():
        ids = write(*(f"p{number}" for number in range(35)))
    assert forward_all() == 35
    assert received(receiver) == sorted(ids) == ids
    assert [len(json.loads(asked.body)["data"]["events"]) for asked in receiver.asked] == [10, 10, 10, 5]


def test_an_event_that_commits_late_is_told_and_before_those_of_later_transactions(
    receiver: HttpsServer, forwarder: AuditForwarder
) -> None:
    written, committed = threading.Event(), threading.Event()
    slow: list[str] = []

    def write_slowly() -> None:
        try:
            with transaction.atomic():
                slow.extend(write("slow"))
                written.set()
                committed.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert written.wait(10)
    quick = write("quick")
    assert forward_all() == 0  # the slow one may still come before it
    committed.set()
    thread.join(10)
    assert forward_all() == 2
    assert received(receiver) == slow + quick


def test_killed_between_delivery_and_note_the_batch_is_sent_again_under_the_same_id(
    receiver: HttpsServer, forwarder: AuditForwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = write("a", "b")

    class Killed(BaseException):
        pass

    def killed(*arguments: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(forwarding, "_note_progress", killed)
        with pytest.raises(Killed):
            forward_all()
    assert forward_all() == 2
    assert received(receiver) == ids + ids
    assert receiver.asked[0].headers["webhook-id"] == receiver.asked[1].headers["webhook-id"]


def test_a_receiver_that_fails_gets_the_same_events_after_a_pause_and_holds_up_no_other(
    receiver: HttpsServer, forwarder: AuditForwarder
) -> None:
    broken, _ = create_forwarder(SYSTEM, "broken", "https://127.0.0.1:1/", ca_pem=receiver.ca_pem)
    ids = write("a")
    forward_all()
    assert received(receiver)[-1:] == ids
    row = fresh(broken)
    assert row.failures == 1
    assert "cannot be reached" in row.last_error
    assert row.next_attempt_at is not None
    assert timezone.now() < row.next_attempt_at < timezone.now() + timedelta(seconds=5)
    forward_all()
    assert fresh(broken).failures == 1  # not due yet
    AuditForwarder.objects.filter(pk=broken.pk).update(next_attempt_at=None, url=receiver.url)
    receiver.asked.clear()
    assert forward(fresh(broken)) == 2
    assert received(receiver)[-1:] == ids
    assert (fresh(broken).failures, fresh(broken).last_error) == (0, "")


def test_pauses_grow_and_have_an_end(forwarder: AuditForwarder) -> None:
    write("a")
    AuditForwarder.objects.update(url="https://127.0.0.1:1/")
    pauses = []
    for failures in (0, 3, 40):
        AuditForwarder.objects.update(failures=failures)
        before = timezone.now()
        forward(fresh(forwarder))
        next_attempt = fresh(forwarder).next_attempt_at
        assert next_attempt is not None
        pauses.append((next_attempt - before).total_seconds())
    assert pauses[0] < 3 < pauses[1] < 15 < pauses[2] <= forwarding.LONGEST_PAUSE * 1.3


def test_flt41_a_secret_that_does_not_open_is_told_and_nothing_is_skipped(
    receiver: HttpsServer, forwarder: AuditForwarder
) -> None:
    write("a")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_auditforwarder SET secret = 'v1.gone.AAAA'")
    forward_all()
    assert "secret.unreadable" in fresh(forwarder).last_error
    assert received(receiver) == []
    assert fresh(forwarder).event_id == forwarder.event_id


def test_one_that_is_switched_off_gets_nothing_and_later_all_of_it(
    receiver: HttpsServer, forwarder: AuditForwarder
) -> None:
    AuditForwarder.objects.update(is_enabled=False)
    ids = write("a", "b")
    assert forward_all() == 0
    AuditForwarder.objects.update(is_enabled=True)
    assert forward_all() == 2
    assert received(receiver) == ids


def test_two_processes_at_once_repeat_events_and_never_move_back(
    receiver: HttpsServer, forwarder: AuditForwarder
) -> None:
    slow = fresh(forwarder)
    ids = write("a")
    forward(fresh(forwarder))
    later = write("b")
    forward(fresh(forwarder))
    assert forward(slow) == 0  # what it holds is outdated
    assert fresh(forwarder).event_id == UUID(later[0])
    assert set(received(receiver)) == {*ids, *later}


class TestRestoredDatabase:
    """Numbers of transactions begin low again where a backup is restored on another server."""

    @pytest.fixture
    def other_life(self, forwarder: AuditForwarder) -> int:
        """The position that the forwarder had on a server with far more transactions behind it."""
        number = current_position() + 10_000_000
        AuditForwarder.objects.update(transaction=number, last_event_at=timezone.now())
        return number

    def test_new_events_are_told(self, receiver: HttpsServer, other_life: int) -> None:
        ids = write("a", "b")
        forward_all()
        assert received(receiver)[-2:] == ids
        assert forward_all() == 0
        more = write("c")
        assert forward_all() == 1
        assert received(receiver)[-1:] == more

    def test_restored_events_that_were_not_told_come_first(self, receiver: HttpsServer, other_life: int) -> None:
        restored = AuditEvent(actor_kind="system", actor_name="x", verb="x", resource="x", outcome="succeeded")
        restored.transaction = other_life + 5
        restored.save(force_insert=True)
        ids = write("a")
        assert forward_all() == 1
        forward_all()
        told = received(receiver)
        assert told.index(str(restored.pk)) < told.index(ids[0])

    def test_what_was_told_long_ago_does_not_come_again(self, receiver: HttpsServer, other_life: int) -> None:
        old = record(SYSTEM, "update", "pumps")
        delete_events_older_than(timedelta(0))
        old.at -= timedelta(days=3)
        old.save(force_insert=True)
        ids = write("a")
        forward_all()
        assert str(old.pk) not in received(receiver)
        assert received(receiver)[-1:] == ids


def test_the_next_events_are_found_by_an_index() -> None:
    write("a")
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            plan = forwarding._beyond(Position(5)).explain()
        finally:
            cursor.execute("RESET enable_seqscan")
    assert "audit_transaction" in plan


@pytest.mark.servers  # starts Python anew
def test_a_process_that_is_killed_while_it_delivers_loses_nothing(
    receiver: HttpsServer, forwarder: AuditForwarder, database_url: str
) -> None:
    ids = write("a", "b", "c")
    arrived, release = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Reply:
        arrived.set()
        release.wait(20)
        return Reply(status=204)

    receiver.answer = answer
    script = "import django; django.setup(); from hub.audit.forwarding import forward_all; forward_all()"
    environment = {**os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "hub.config.settings"}
    folder = Path(settings.BASE_DIR)
    with subprocess.Popen([sys.executable, "-c", script], cwd=folder, env=environment) as process:
        assert arrived.wait(30)
        process.send_signal(signal.SIGKILL)
    release.set()
    assert received(receiver) == ids
    assert forward_all() == 3
    assert received(receiver) == ids + ids
