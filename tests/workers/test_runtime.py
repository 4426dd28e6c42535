"""From a message to a finished step: claiming, giving back, and what happens when a step breaks."""

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from hub.core import broker, work
from hub.core.changes import LostClaim
from hub.core.conditions import STUCK, condition, set_condition
from hub.core.requests import request_context
from hub.core.work import Claim, claim, wake
from tests.rows import Pump, insert_pump
from tests.workers.conftest import PumpReconciler
from workers import runtime
from workers.reconcilers.contract import Outcome
from workers.runtime import POISON_ATTEMPTS, RECONCILE_FAILING, UnknownWork, backoff, run

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "send_hint", lambda payload: True)


def message(pump: Pump, **changes: Any) -> dict[str, Any]:
    return {**broker.reconcile_payload("pump", pump.pk, "req-5"), **changes}


def due_pump() -> Pump:
    pump = insert_pump()
    wake(pump)
    return pump


def break_step(claim: Claim[Pump]) -> Outcome:
    raise ZeroDivisionError("on purpose")


class TestRunning:
    def test_a_due_row_is_brought_to_what_it_wants_and_given_back(self, pump_reconciler: PumpReconciler) -> None:
        pump = due_pump()
        run(message(pump))
        stored = Pump.objects.get()
        assert stored.speed == stored.wanted_speed == 1
        assert (stored.lease_holder, stored.next_run_at, stored.attempts) == ("", None, 0)

    def test_the_step_runs_under_the_request_id_of_who_caused_it(self, pump_reconciler: PumpReconciler) -> None:
        seen: list[str] = []

        def look(claim: Claim[Pump]) -> Outcome:
            seen.append(request_context().request_id)
            return Outcome(None)

        pump_reconciler.step = look
        run(message(due_pump()))
        assert seen == ["req-5"]
        assert request_context().request_id == ""

    def test_the_outcome_says_when_to_look_again(self, pump_reconciler: PumpReconciler) -> None:
        pump_reconciler.step = lambda claim: Outcome(90)
        run(message(due_pump()))
        next_run_at = Pump.objects.get().next_run_at
        assert next_run_at is not None
        assert timedelta(seconds=80) < next_run_at - timezone.now() < timedelta(seconds=95)

    def test_flt03_the_same_message_again_does_nothing(self, pump_reconciler: PumpReconciler) -> None:
        pump = due_pump()
        run(message(pump))
        run(message(pump))
        assert len(pump_reconciler.claims) == 1

    def test_flt03_a_message_while_another_worker_holds_the_row_does_nothing(
        self, pump_reconciler: PumpReconciler
    ) -> None:
        pump = due_pump()
        assert claim(Pump, pump.pk, "other", 60) is not None
        run(message(pump))
        assert pump_reconciler.claims == []
        assert Pump.objects.get().lease_holder == "other"

    def test_a_message_about_a_row_that_is_gone_does_nothing(self, pump_reconciler: PumpReconciler) -> None:
        run(message(Pump(id=uuid4())))
        assert pump_reconciler.claims == []

    def test_a_row_deleted_by_its_reconciler_needs_no_giving_back(self, pump_reconciler: PumpReconciler) -> None:
        def delete(claim: Claim[Pump]) -> Outcome:
            Pump.objects.all().delete()
            return Outcome(None)

        pump_reconciler.step = delete
        run(message(due_pump()))
        assert not Pump.objects.exists()


class TestMessages:
    @pytest.mark.parametrize("version", [0, 2, None, "1"])
    def test_flt37_a_message_of_another_version_is_not_guessed_at(
        self, version: object, pump_reconciler: PumpReconciler
    ) -> None:
        with pytest.raises(UnknownWork):
            run(message(due_pump(), v=version))
        assert pump_reconciler.claims == []

    @pytest.mark.parametrize("payload", [None, "x", [], {}])
    def test_what_is_no_message_is_not_guessed_at(self, payload: object, pump_reconciler: PumpReconciler) -> None:
        with pytest.raises(UnknownWork):
            run(payload)

    def test_flt37_a_kind_of_a_newer_version_is_left_to_a_newer_worker(self, pump_reconciler: PumpReconciler) -> None:
        with pytest.raises(UnknownWork, match="teapot"):
            run(message(due_pump(), kind="teapot"))

    def test_a_newer_field_in_the_message_is_ignored(self, pump_reconciler: PumpReconciler) -> None:
        run(message(due_pump(), colour="green"))
        assert len(pump_reconciler.claims) == 1


class TestFailing:
    def test_flt08_a_step_that_breaks_is_logged_counted_and_tried_again_later(
        self, pump_reconciler: PumpReconciler, caplog: pytest.LogCaptureFixture
    ) -> None:
        pump_reconciler.step = break_step
        pump = due_pump()
        run(message(pump))
        stored = Pump.objects.get()
        assert (stored.attempts, stored.lease_holder) == (1, "")
        assert stored.next_run_at is not None
        assert stored.next_run_at > timezone.now()
        (entry,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
        assert str(pump.pk) in entry.getMessage()
        assert entry.exc_info is not None

    def test_a_step_past_its_deadline_is_a_failure_like_any_other(self, pump_reconciler: PumpReconciler) -> None:
        def too_long(claim: Claim[Pump]) -> Outcome:
            raise SoftTimeLimitExceeded

        pump_reconciler.step = too_long
        run(message(due_pump()))
        assert (Pump.objects.get().attempts, Pump.objects.get().lease_holder) == (1, "")

    def test_flt08_a_success_after_failures_starts_the_count_again(self, pump_reconciler: PumpReconciler) -> None:
        pump = due_pump()
        pump_reconciler.step = break_step
        run(message(pump))
        wake(pump)
        pump_reconciler.step = pump_reconciler.set_speed
        run(message(pump))
        assert Pump.objects.get().attempts == 0

    def test_flt08_after_some_attempts_the_row_says_it_is_stuck_and_who_can_act(
        self, pump_reconciler: PumpReconciler
    ) -> None:
        pump = due_pump()
        pump_reconciler.step = break_step
        for _ in range(POISON_ATTEMPTS):
            Pump.objects.update(next_run_at=Now())
            run(message(pump))
        assert condition(Pump.objects.get(), STUCK) is None
        Pump.objects.update(next_run_at=Now())
        run(message(pump))
        said = condition(Pump.objects.get(), STUCK)
        assert said is not None
        assert (said.status, said.reason, said.params["owner"]) == ("True", RECONCILE_FAILING, "platform")

    def test_flt08_a_row_that_kills_its_worker_each_time_is_reported_too(self, pump_reconciler: PumpReconciler) -> None:
        pump = due_pump()
        for _ in range(POISON_ATTEMPTS):  # claimed, and never given back
            assert claim(Pump, pump.pk, "killed", 60) is not None
            Pump.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        seen: list[bool] = []

        def look(claim: Claim[Pump]) -> Outcome:
            seen.append(condition(Pump.objects.get(), STUCK) is not None)
            return Outcome(None)

        pump_reconciler.step = look
        run(message(pump))
        assert seen == [True]  # told before the step that may kill again
        assert condition(Pump.objects.get(), STUCK) is None

    def test_a_reconcilers_own_stuck_stays(self, pump_reconciler: PumpReconciler) -> None:
        def say_stuck(claim: Claim[Pump]) -> Outcome:
            set_condition(claim.row, STUCK, True, "QuotaExceeded", params={"owner": "tenant"})
            return pump_reconciler.set_speed(claim)

        def write_conditions(claim: Claim[Pump]) -> Outcome:
            say_stuck(claim)
            Pump.objects.update(conditions=claim.row.conditions)
            return Outcome(None)

        pump_reconciler.step = write_conditions
        run(message(due_pump()))
        said = condition(Pump.objects.get(), STUCK)
        assert said is not None
        assert said.reason == "QuotaExceeded"

    def test_flt10_a_lost_claim_is_no_failure_and_the_new_holder_is_left_alone(
        self, pump_reconciler: PumpReconciler, caplog: pytest.LogCaptureFixture
    ) -> None:
        def overtaken(held: Claim[Pump]) -> Outcome:
            Pump.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
            assert claim(Pump, held.row.pk, "fast", 60) is not None
            return pump_reconciler.set_speed(held)

        pump_reconciler.step = overtaken
        run(message(due_pump()))
        stored = Pump.objects.get()
        assert (stored.lease_holder, stored.speed) == ("fast", 0)
        assert not [entry for entry in caplog.records if entry.levelno >= logging.ERROR]

    def test_flt12_a_row_that_cannot_be_given_back_now_is_found_when_its_lease_ends(
        self, pump_reconciler: PumpReconciler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*args: object, **options: object) -> bool:
            raise OperationalError("the server closed the connection")

        pump = due_pump()
        monkeypatch.setattr(work, "release", away)
        run(message(pump))
        stored = Pump.objects.get()
        assert stored.lease_holder == runtime.holder_name()
        Pump.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        assert work.take_unhinted(Pump, 10) == [pump.pk]


def test_flt08_pauses_grow_are_spread_and_end_at_five_minutes() -> None:
    for attempts, expected in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (1000, 300)):
        pauses = {backoff(attempts) for _ in range(20)}
        assert all(0.79 * expected <= pause <= 1.21 * expected for pause in pauses), attempts
        assert len(pauses) > 10


def test_a_lost_claim_is_not_swallowed_by_the_reconciler_contract() -> None:
    assert not issubclass(LostClaim, OperationalError)
