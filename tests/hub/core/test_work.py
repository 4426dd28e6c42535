"""Waking, claiming and giving back: the row is the work, the database's clock is the clock."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from hub.core import broker, work
from hub.core.broker import ReconcilePayload
from hub.core.requests import bind_request
from hub.core.work import claim, find_model, reconciled_models, release, take_unhinted, wake, wake_by_id
from tests.rows import Pump, insert_pump

pytestmark = pytest.mark.usefixtures("pumps")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[ReconcilePayload]:
    """What would have gone to the broker."""
    payloads: list[ReconcilePayload] = []

    def keep(payload: ReconcilePayload) -> bool:
        payloads.append(payload)
        return True

    monkeypatch.setattr(broker, "send_hint", keep)
    return payloads


def expire_lease() -> None:
    Pump.objects.update(lease_expires_at=Now() - timedelta(seconds=1))


@pytest.mark.usefixtures("db")
class TestClaiming:
    def test_a_new_row_is_not_due(self) -> None:
        assert claim(Pump, insert_pump().pk, "a", 60) is None

    def test_a_woken_row_is_claimed_and_its_attempt_counted_before_any_work(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        stored = Pump.objects.get()
        assert (held.fence, held.row.fence, stored.fence) == (1, 1, 1)
        assert (stored.attempts, stored.lease_holder) == (1, "a")
        assert stored.lease_expires_at is not None
        assert timedelta(seconds=50) < stored.lease_expires_at - timezone.now() < timedelta(seconds=70)

    def test_a_row_that_is_gone_is_not_claimed(self) -> None:
        assert claim(Pump, uuid4(), "a", 60) is None

    def test_flt03_a_leased_row_is_not_claimed_by_a_second_worker(self) -> None:
        pump = insert_pump()
        wake(pump)
        assert claim(Pump, pump.pk, "a", 60) is not None
        assert claim(Pump, pump.pk, "b", 60) is None
        assert claim(Pump, pump.pk, "a", 60) is None
        assert Pump.objects.get().attempts == 1

    def test_flt01_the_row_of_a_dead_worker_is_claimed_when_its_lease_ends(self) -> None:
        pump = insert_pump()
        wake(pump)
        claim(Pump, pump.pk, "dead", 60)
        expire_lease()
        held = claim(Pump, pump.pk, "b", 60)
        assert held is not None
        assert (held.fence, held.row.attempts) == (2, 2)

    def test_flt03_a_message_delivered_twice_does_the_work_once(self) -> None:
        pump = insert_pump()
        wake(pump)
        first = claim(Pump, pump.pk, "a", 60)
        assert first is not None
        release(first, next_run_in=300)
        assert claim(Pump, pump.pk, "b", 60) is None


@pytest.mark.usefixtures("db")
class TestTakingUnhinted:
    def test_flt06_a_due_row_is_taken_once_and_again_when_its_message_must_be_lost(self) -> None:
        pump = insert_pump()
        Pump.objects.update(next_run_at=Now())
        assert take_unhinted(Pump, 10) == [pump.pk]
        assert take_unhinted(Pump, 10) == []
        Pump.objects.update(hinted_until=Now())
        assert take_unhinted(Pump, 10) == [pump.pk]

    def test_being_taken_does_not_hide_how_long_a_row_is_due(self) -> None:
        pump = insert_pump()
        Pump.objects.update(next_run_at=Now() - timedelta(hours=1))
        pump.refresh_from_db()
        take_unhinted(Pump, 10)
        assert Pump.objects.get().next_run_at == pump.next_run_at

    def test_a_row_just_woken_has_a_message_on_its_way(self) -> None:
        wake(insert_pump())
        assert take_unhinted(Pump, 10) == []

    def test_a_leased_row_is_left_alone_until_its_lease_ends(self) -> None:
        pump = insert_pump()
        wake(pump)
        claim(Pump, pump.pk, "dead", 60)
        assert take_unhinted(Pump, 10) == []
        expire_lease()
        assert take_unhinted(Pump, 10) == [pump.pk]

    def test_rows_that_are_not_due_are_left_alone(self) -> None:
        insert_pump("never")
        Pump.objects.filter(pk=insert_pump("later").pk).update(next_run_at=Now() + timedelta(minutes=1))
        assert take_unhinted(Pump, 10) == []

    def test_the_longest_due_come_first_and_no_more_than_asked(self) -> None:
        pumps = [insert_pump(str(number)) for number in range(4)]
        for age, pump in zip((10, 40, 20, 30), pumps, strict=True):
            Pump.objects.filter(pk=pump.pk).update(next_run_at=Now() - timedelta(seconds=age))
        assert take_unhinted(Pump, 3) == [pumps[1].pk, pumps[3].pk, pumps[2].pk]


@pytest.mark.usefixtures("db")
class TestReleasing:
    def test_a_success_resets_the_attempts_and_plans_the_next_run(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        assert release(held, next_run_in=120)
        stored = Pump.objects.get()
        assert (stored.attempts, stored.lease_holder, stored.lease_expires_at) == (0, "", None)
        assert stored.next_run_at is not None
        assert timedelta(seconds=110) < stored.next_run_at - timezone.now() < timedelta(seconds=130)

    def test_flt08_a_failure_keeps_the_attempts(self) -> None:
        pump = insert_pump()
        for expected in (1, 2, 3):
            wake(pump)
            held = claim(Pump, pump.pk, "a", 60)
            assert held is not None
            assert held.row.attempts == expected
            release(held, next_run_in=0, failed=True)
        assert Pump.objects.get().attempts == 3

    def test_nothing_planned_means_when_woken(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        release(held, next_run_in=None)
        assert Pump.objects.get().next_run_at is None

    @pytest.mark.parametrize("planned", [None, 300.0])
    def test_flt11_a_wake_during_the_reconcile_makes_the_row_due_at_once(
        self,
        planned: float | None,
        sent: list[ReconcilePayload],
        django_capture_on_commit_callbacks: Callable[..., "object"],
    ) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        wake(pump)
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
            release(held, next_run_in=planned)
        assert Pump.objects.filter(next_run_at__lte=Now()).exists()
        assert [payload["id"] for payload in sent] == [str(pump.pk)]

    def test_flt10_an_overtaken_holder_releases_nothing(self) -> None:
        pump = insert_pump()
        wake(pump)
        slow = claim(Pump, pump.pk, "slow", 60)
        assert slow is not None
        expire_lease()
        assert claim(Pump, pump.pk, "fast", 60) is not None
        assert release(slow, next_run_in=None) is False
        assert Pump.objects.get().lease_holder == "fast"

    def test_releasing_a_row_that_was_deleted_is_no_error(self) -> None:
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        Pump.objects.all().delete()
        assert release(held, next_run_in=10) is False


@pytest.mark.usefixtures("transactional_db")
class TestHints:
    def test_a_wake_tells_the_broker_after_the_commit_and_not_before(self, sent: list[ReconcilePayload]) -> None:
        pump = insert_pump()
        with bind_request("req-1"), transaction.atomic():
            wake(pump)
            assert sent == []
        assert sent == [{"v": 1, "kind": "pump", "id": str(pump.pk), "request_id": "req-1"}]

    def test_flt06_a_wake_that_is_rolled_back_tells_nobody(self, sent: list[ReconcilePayload]) -> None:
        pump = insert_pump()
        with transaction.atomic():
            wake(pump)
            transaction.set_rollback(True)
        assert sent == []
        assert Pump.objects.get().next_run_at is None

    def test_flt06_a_sender_that_breaks_does_not_break_the_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(payload: ReconcilePayload) -> bool:
            raise ZeroDivisionError

        monkeypatch.setattr(broker, "send_hint", broken)
        pump = insert_pump()
        wake(pump)
        assert Pump.objects.get().next_run_at is not None

    def test_flt06_a_message_the_broker_did_not_take_is_the_pollers_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "send_hint", lambda payload: False)
        pump = insert_pump()
        wake(pump)
        assert take_unhinted(Pump, 10) == [pump.pk]

    def test_waking_an_unknown_row_says_so(self, sent: list[ReconcilePayload]) -> None:
        assert wake_by_id(Pump, uuid4()) is False
        assert sent == []

    def test_flt03_of_many_claimers_at_once_exactly_one_wins(self) -> None:
        pump = insert_pump()
        wake(pump)
        start = threading.Barrier(6)
        won: list[str] = []

        def compete(name: str) -> None:
            start.wait(10)
            try:
                if claim(Pump, pump.pk, name, 60) is not None:
                    won.append(name)
            finally:
                connection.close()

        threads = [threading.Thread(target=compete, args=(f"w{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(won) == 1
        assert Pump.objects.get().lease_holder == won[0]

    def test_flt33_a_workers_wrong_clock_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timezone, "now", lambda: datetime(2000, 1, 1, tzinfo=UTC))
        pump = insert_pump()
        wake(pump)
        held = claim(Pump, pump.pk, "a", 60)
        assert held is not None
        monkeypatch.undo()
        assert claim(Pump, pump.pk, "b", 60) is None


class TestKinds:
    def test_a_kind_is_found_by_its_name(self) -> None:
        assert find_model("pump") is Pump
        assert Pump in set(reconciled_models())

    def test_an_unknown_kind_is_none(self) -> None:
        assert find_model("teapot") is None


@pytest.mark.usefixtures("db")
def test_a_claim_costs_few_statements(django_assert_max_num_queries: Callable[[int], "object"]) -> None:
    pump = insert_pump()
    Pump.objects.update(next_run_at=Now(), wake_count=F("wake_count") + 1)
    with django_assert_max_num_queries(4):  # type: ignore[attr-defined]  # savepoint, update, select, release
        assert work.claim(Pump, pump.pk, "a", 60) is not None
