"""Figures about work: how much is due, for how long, and how long rows are in their phase."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hub.core.metrics import DueRows, PhaseCount, due_rows, phase_counts
from hub.core.work import claim, take_unhinted
from tests.rows import Pump, insert_pump

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db]


def pumps_due() -> DueRows:
    return next(figures for figures in due_rows() if figures.kind == "pump")


def test_with_nothing_due_all_is_zero() -> None:
    insert_pump()
    assert pumps_due() == DueRows("pump", due=0, leased=0, oldest_seconds=0.0)


def test_due_and_leased_rows_are_told_apart_and_the_oldest_is_aged() -> None:
    for age in (10, 90, 30):
        Pump.objects.filter(pk=insert_pump().pk).update(next_run_at=Now() - timedelta(seconds=age))
    Pump.objects.filter(pk=insert_pump("later").pk).update(next_run_at=Now() + timedelta(hours=1))
    held = Pump.objects.first()
    assert held is not None
    claim(Pump, held.pk, "a", 60)
    figures = pumps_due()
    assert (figures.due, figures.leased) == (2, 1)
    assert 89 < figures.oldest_seconds < 100


def test_sending_hints_does_not_make_the_queue_look_younger() -> None:
    Pump.objects.filter(pk=insert_pump().pk).update(next_run_at=Now() - timedelta(hours=1))
    take_unhinted(Pump, 10)
    assert pumps_due().oldest_seconds > 3590


def test_rows_are_counted_by_phase_with_the_longest_stay() -> None:
    for phase, age in (("Running", 5), ("Running", 50), ("Pending", 7)):
        Pump.objects.filter(pk=insert_pump().pk).update(phase=phase, phase_since=Now() - timedelta(seconds=age))
    pending, running = (count for count in phase_counts() if count.kind == "pump")
    assert (pending.phase, pending.rows, running.phase, running.rows) == ("Pending", 1, "Running", 2)
    assert 50 <= running.longest_seconds < 60
    assert isinstance(running, PhaseCount)
