"""The poller: due rows without a message get one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hub.core import broker
from hub.core.broker import ReconcilePayload
from hub.core.work import take_unhinted
from tests.rows import Pump, insert_pump
from workers.poller import poll_once

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ids: list[str] = []
    monkeypatch.setattr(broker, "send_hint", record_into(ids))
    return ids


def record_into(ids: list[str], *, until: int = 10_000) -> Callable[[ReconcilePayload], bool]:
    """Takes that many messages, then refuses."""

    def send(payload: ReconcilePayload) -> bool:
        if len(ids) == until:
            return False
        ids.append(payload["id"])
        return True

    return send


def due_pumps(count: int) -> list[Pump]:
    pumps = [insert_pump(str(number)) for number in range(count)]
    for number, pump in enumerate(pumps):
        Pump.objects.filter(pk=pump.pk).update(next_run_at=Now() - timedelta(seconds=100 - number))
    return pumps


def test_each_due_row_gets_one_message_the_longest_due_first(sent: list[str]) -> None:
    pumps = due_pumps(3)
    insert_pump("not due")
    assert poll_once() == 3
    assert sent == [str(pump.pk) for pump in pumps]


def test_a_row_whose_message_is_on_its_way_gets_no_second_one(sent: list[str]) -> None:
    due_pumps(2)
    poll_once()
    assert poll_once() == 0
    assert len(sent) == 2


def test_flt07_a_message_that_the_broker_lost_is_sent_again_after_a_while(sent: list[str]) -> None:
    due_pumps(1)
    poll_once()
    Pump.objects.update(hinted_until=Now())  # fifteen seconds later
    assert poll_once() == 1


def test_flt06_what_the_broker_did_not_take_is_offered_again_at_the_next_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    pumps = due_pumps(3)
    ids: list[str] = []
    monkeypatch.setattr(broker, "send_hint", record_into(ids, until=1))
    assert poll_once() == 1
    assert take_unhinted(Pump, 10) == [pump.pk for pump in pumps[1:]]
