"""The life of an operation, and its log lines."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.core.access import Actor
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.core.models import Change
from hub.core.requests import bind_request
from hub.operations import services
from hub.operations.models import FINAL_STATES, TRANSITIONS, Level, LogLine, Operation, State
from hub.operations.services import delete_finished_older_than, finish, log, request_cancel, start, step
from tests.rows import Pump

pytestmark = pytest.mark.django_db

ANNA = Actor(kind="user", id=uuid4(), name="anna")


@pytest.fixture
def operation() -> Operation:
    return start(ANNA, "create", Pump(name="p1", tenant_id=uuid4()), steps=("dig", "fill", "test"))


def states(operation: Operation) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in operation.steps}


class TestStarting:
    def test_it_says_who_wants_what_done_to_which_object(self) -> None:
        pump = Pump(name="p1", tenant_id=uuid4())
        project = uuid4()
        with bind_request("req-3"):
            made = start(ANNA, "create", pump, project_id=project, steps=("dig",))
        stored = Operation.objects.get(pk=made.pk)
        assert (stored.kind, stored.target_kind, stored.target_id, stored.target_name) == (
            "create",
            "pump",
            pump.pk,
            "p1",
        )
        assert (stored.tenant_id, stored.project_id, stored.actor_name) == (pump.tenant_id, project, "anna")
        assert (stored.state, stored.progress, stored.request_id) == ("pending", 0, "req-3")
        assert states(stored) == {"dig": "pending"}

    def test_it_is_a_change_of_its_tenants(self, operation: Operation) -> None:
        hint = Change.objects.get(object_id=operation.pk)
        assert (hint.kind, hint.tenant_id) == ("operation", operation.tenant_id)


class TestSteps:
    def test_the_first_step_sets_it_running(self, operation: Operation) -> None:
        told = step(operation.pk, "dig", "running", "with a spade")
        assert (told.state, told.progress) == ("running", 0)
        assert told.started_at is not None
        assert told.steps[0]["message"] == "with a spade"
        assert told.steps[0]["started_at"] is not None
        assert told.steps[0]["finished_at"] is None

    def test_progress_follows_the_steps_that_are_done_and_never_reaches_the_end_by_itself(
        self, operation: Operation
    ) -> None:
        assert step(operation.pk, "dig", "succeeded").progress == 33
        assert step(operation.pk, "fill", "skipped").progress == 66
        assert step(operation.pk, "test", "succeeded").progress == 99

    def test_telling_the_same_again_writes_nothing(self, operation: Operation) -> None:
        first = step(operation.pk, "dig", "running", "x")
        again = step(operation.pk, "dig", "running", "x")
        assert again.version == first.version

    def test_a_step_that_was_not_foreseen_is_added_and_progress_does_not_fall(self, operation: Operation) -> None:
        before = step(operation.pk, "dig", "succeeded").progress
        told = step(operation.pk, "paint", "running")
        assert list(states(told)) == ["dig", "fill", "test", "paint"]
        assert told.progress == before

    def test_a_step_may_run_again_after_it_failed(self, operation: Operation) -> None:
        step(operation.pk, "dig", "failed", "hard ground")
        told = step(operation.pk, "dig", "running")
        assert told.steps[0]["finished_at"] is None
        assert told.state == "running"

    def test_sec04_a_message_is_cleaned_and_cut(self, operation: Operation) -> None:
        told = step(operation.pk, "dig", "failed", "password=hunter2 " + "x" * 9000)
        assert "hunter2" not in told.steps[0]["message"]
        assert len(told.steps[0]["message"]) == services.LINE_LIMIT

    def test_an_unknown_operation_is_an_error(self) -> None:
        with pytest.raises(Operation.DoesNotExist):
            step(uuid4(), "dig", "running")


class TestEnding:
    def test_success_closes_the_steps_and_is_complete(self, operation: Operation) -> None:
        step(operation.pk, "dig", "succeeded")
        step(operation.pk, "fill", "running")
        done = finish(operation.pk, State.SUCCEEDED)
        assert (done.state, done.progress, done.error) == ("succeeded", 100, None)
        assert done.finished_at is not None
        assert states(done) == {"dig": "succeeded", "fill": "succeeded", "test": "skipped"}

    def test_failure_says_why_by_code(self, operation: Operation) -> None:
        step(operation.pk, "dig", "running")
        failed = finish(operation.pk, State.FAILED, HubError("object.in_use", by="q"))
        assert failed.error == {"code": "object.in_use", "params": {"by": "q"}}
        assert states(failed) == {"dig": "failed", "fill": "skipped", "test": "skipped"}
        assert failed.progress < 100

    @pytest.mark.parametrize("end", sorted(FINAL_STATES))
    def test_the_first_end_counts(self, operation: Operation, end: State) -> None:
        first = finish(operation.pk, end)
        for state in FINAL_STATES:
            again = finish(operation.pk, state)
            assert (again.state, again.version) == (end, first.version)
        told = step(operation.pk, "dig", "running")
        assert (told.state, told.version) == (end, first.version)

    def test_running_is_no_end(self, operation: Operation) -> None:
        with pytest.raises(ValueError, match="running"):
            finish(operation.pk, State.RUNNING)

    def test_every_state_is_in_the_table_and_an_end_has_no_way_out(self) -> None:
        assert set(TRANSITIONS) == set(State)
        assert {State.SUCCEEDED, State.FAILED, State.CANCELLED} == FINAL_STATES


class TestCancelling:
    def test_it_is_a_wish_that_the_worker_sees(self, operation: Operation) -> None:
        asked = request_cancel(operation)
        assert asked.is_cancel_requested
        assert asked.state == "pending"
        assert not finish(operation.pk, State.CANCELLED).is_cancel_requested

    def test_asking_twice_is_asking_once(self, operation: Operation) -> None:
        first = request_cancel(operation)
        assert request_cancel(operation).version == first.version

    def test_what_has_ended_is_not_cancelled(self, operation: Operation) -> None:
        finish(operation.pk, State.SUCCEEDED)
        with pytest.raises(HubError) as caught:
            request_cancel(operation)
        assert (caught.value.code, caught.value.status) == ("operation.finished", 409)

    def test_an_operation_that_is_gone_is_no_longer_there_to_cancel(self, operation: Operation) -> None:
        Operation.objects.filter(pk=operation.pk).delete()
        with pytest.raises((Operation.DoesNotExist, StaleVersion)):
            request_cancel(operation)


class TestLogLines:
    def test_lines_come_in_the_order_of_writing(self) -> None:
        machine = uuid4()
        for number in range(5):
            log(f"line {number}", machine_id=machine, attempt=2, step="join")
        lines = LogLine.objects.filter(machine_id=machine)
        assert [line.text for line in lines] == [f"line {number}" for number in range(5)]
        assert {(line.attempt, line.step, line.level) for line in lines} == {(2, "join", "info")}

    def test_a_long_line_is_cut_and_says_so(self) -> None:
        line = log("x" * 10_000, machine_id=uuid4())
        assert line is not None
        assert len(line.text) == services.LINE_LIMIT
        assert line.text.endswith("(cut)")

    def test_sec04_a_line_is_cleaned_of_what_looks_like_a_credential(self) -> None:
        line = log("joining with K10abc::server:s3cr3t", machine_id=uuid4())
        assert line is not None
        assert "s3cr3t" not in line.text

    def test_a_zero_byte_does_not_break_the_insert(self) -> None:
        line = log("a\x00b", machine_id=uuid4())
        assert line is not None
        assert line.text == "a\ufffdb"

    def test_a_flood_ends_with_a_line_that_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "LINES_LIMIT", 3)
        machine = uuid4()
        kept = [log(f"line {number}", machine_id=machine) for number in range(6)]
        assert [line is not None for line in kept] == [True, True, True, True, False, False]
        last = LogLine.objects.filter(machine_id=machine).last()
        assert last is not None
        assert (last.level, last.text) == (Level.WARNING, services.FULL)
        assert log("another machine", machine_id=uuid4()) is not None

    def test_a_line_belongs_to_a_machine_or_an_operation(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            log("nobody's")


class TestRetention:
    def test_ended_operations_and_old_lines_go_and_running_ones_stay(self) -> None:
        old = timezone.now() - timedelta(days=100)
        ended, running = start(ANNA, "a", Pump()), start(ANNA, "b", Pump())
        finish(ended.pk, State.SUCCEEDED)
        Operation.objects.filter(pk=ended.pk).update(finished_at=old)
        Operation.objects.filter(pk=running.pk).update(created_at=old)
        log("old", operation_id=ended.pk)
        LogLine.objects.update(at=old)
        log("new", operation_id=running.pk)
        assert delete_finished_older_than(timedelta(days=90)) == 2
        assert [operation.pk for operation in Operation.objects.all()] == [running.pk]
        assert [line.text for line in LogLine.objects.all()] == ["new"]
        assert delete_finished_older_than(timedelta(days=90)) == 0
