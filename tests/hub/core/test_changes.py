"""The one change function: guards, versions, hints, notifications."""

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F

from hub.core.changes import (
    CHANNEL,
    LostClaim,
    StaleVersion,
    changes_after,
    current_position,
    record_delete,
    record_insert,
    record_update,
)
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.core.models import Change
from hub.core.work import claim, wake
from tests.rows import Pump, insert_pump

pytestmark = pytest.mark.usefixtures("pumps")


@contextlib.contextmanager
def second_session() -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Another client of the test database."""
    parts = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parts.pop(name, None)
    with psycopg.connect(**parts, autocommit=True) as session:
        yield session


@pytest.mark.usefixtures("db")
class TestRecording:
    def test_an_insert_is_version_one_and_leaves_a_hint(self) -> None:
        tenant = uuid4()
        pump = insert_pump(tenant_id=tenant)
        hint = Change.objects.get()
        assert (pump.version, hint.kind, hint.object_id, hint.version, hint.tenant_id) == (
            1,
            "pump",
            pump.pk,
            1,
            tenant,
        )

    def test_an_update_writes_only_the_named_fields(self) -> None:
        pump = insert_pump("old")
        pump.name, pump.speed = "new", 7
        record_update(pump, ["speed"])
        stored = Pump.objects.get()
        assert (stored.name, stored.speed, stored.version, pump.version) == ("old", 7, 2, 2)
        assert stored.updated_at == pump.updated_at > stored.created_at

    def test_two_writers_of_different_fields_do_not_undo_each_other(self) -> None:
        insert_pump("old")
        one, two = Pump.objects.get(), Pump.objects.get()
        one.name, two.speed = "new", 7
        record_update(one, ["name"])
        record_update(two, ["speed"])
        stored = Pump.objects.get()
        assert (stored.name, stored.speed, stored.version) == ("new", 7, 3)
        assert two.version == 3

    def test_an_update_on_an_old_version_is_refused_and_writes_nothing(self) -> None:
        pump = insert_pump()
        record_update(pump, ["speed"])
        pump.speed = 9
        with pytest.raises(StaleVersion) as caught:
            record_update(pump, ["speed"], expected_version=1)
        assert (caught.value.code, caught.value.status) == ("object.stale", 412)
        assert Pump.objects.get().speed == 0
        assert Change.objects.count() == 2

    def test_an_update_of_a_row_that_is_gone_is_refused(self) -> None:
        pump = insert_pump()
        Pump.objects.all().delete()
        with pytest.raises(StaleVersion):
            record_update(pump, ["speed"])

    def test_a_new_generation_is_counted_in_the_database(self) -> None:
        insert_pump()
        one, two = Pump.objects.get(), Pump.objects.get()
        record_update(one, ["wanted_speed"], new_generation=True)
        record_update(two, ["wanted_speed"], new_generation=True)
        assert two.generation == Pump.objects.get().generation == 3

    def test_a_delete_leaves_a_hint_of_a_later_version_and_the_id_stays_readable(self) -> None:
        pump = insert_pump()
        record_delete(pump, expected_version=1)
        assert not Pump.objects.exists()
        assert Change.objects.filter(object_id=pump.pk).latest("id").version == 2

    def test_a_delete_of_another_version_is_refused(self) -> None:
        pump = insert_pump()
        with pytest.raises(StaleVersion):
            record_delete(pump, expected_version=2)
        assert Pump.objects.exists()

    def test_deleting_twice_is_refused_the_second_time(self) -> None:
        pump = insert_pump()
        again = Pump.objects.get()
        record_delete(pump)
        with pytest.raises(StaleVersion):
            record_delete(again)


@pytest.mark.usefixtures("db")
class TestFencing:
    def test_flt10_a_write_under_an_overtaken_claim_is_refused_in_the_write(self) -> None:
        pump = insert_pump()
        wake(pump)
        slow = claim(Pump, pump.pk, "slow", 60)
        assert slow is not None
        Pump.objects.update(lease_expires_at=F("created_at"))
        fast = claim(Pump, pump.pk, "fast", 60)
        assert fast is not None
        fast.row.speed = 5
        record_update(fast.row, ["speed"], claim=fast)
        slow.row.speed = 99
        with pytest.raises(LostClaim):
            record_update(slow.row, ["speed"], claim=slow)
        with pytest.raises(LostClaim):
            record_delete(slow.row, claim=slow)
        assert Pump.objects.get().speed == 5

    def test_flt10_a_holder_past_its_lease_still_writes_while_nobody_else_has_claimed(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        Pump.objects.update(lease_expires_at=F("created_at"))
        held.row.speed = 5
        record_update(held.row, ["speed"], claim=held)
        assert Pump.objects.get().speed == 5

    def test_a_claim_with_an_old_version_tells_of_the_version(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        with pytest.raises(StaleVersion):
            record_update(held.row, ["speed"], claim=held, expected_version=5)


@pytest.mark.usefixtures("transactional_db")
class TestTransactions:
    def test_a_change_outside_a_transaction_is_a_programming_error(self) -> None:
        pump = Pump(id=uuid7(), name="p")
        with pytest.raises(RuntimeError, match="atomic"):
            record_insert(pump)
        assert not Pump.objects.exists()

    def test_a_rolled_back_change_leaves_no_hint(self) -> None:
        with contextlib.suppress(HubError), transaction.atomic():
            record_insert(Pump(name="p"))
            raise HubError("hub.unavailable")
        assert not Change.objects.exists()

    def test_a_batch_of_changes_notifies_once_and_without_payload(self) -> None:
        with second_session() as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            with transaction.atomic():
                for name in "abc":
                    record_insert(Pump(name=name))
            heard = list(listener.notifies(timeout=1, stop_after=2))
        assert [notice.payload for notice in heard] == [""]


@pytest.mark.usefixtures("transactional_db")
class TestListening:
    def test_a_listener_reads_what_came_after_its_position(self) -> None:
        insert_pump("before")
        position = current_position()
        pump = insert_pump("after")
        hints, position = changes_after(position)
        assert [(hint.kind, hint.object_id, hint.version) for hint in hints] == [("pump", pump.pk, 1)]
        assert changes_after(position)[0] == []

    def test_flt11_a_transaction_that_commits_late_is_not_overlooked(self) -> None:
        position = current_position()
        with second_session() as slow, slow.transaction():
            slow.execute(
                "INSERT INTO core_change (kind, object_id, version) VALUES ('pump', gen_random_uuid(), 77)"
            )  # its id is given out now, before the next one's
            insert_pump("quick")
            early, position = changes_after(position)
        late, _ = changes_after(position)
        assert 77 in [hint.version for hint in late]
        assert {hint.version for hint in (*early, *late)} == {1, 77}
