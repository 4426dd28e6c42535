"""Database leases: one holder at a time, by the database's clock."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hub.core.leases import acquire_lease, release_lease
from hub.core.models import Lease

pytestmark = pytest.mark.django_db


def test_a_free_lease_is_taken() -> None:
    assert acquire_lease("poller", "a", 10) == 1


def test_flt09_a_held_lease_is_refused_to_another() -> None:
    acquire_lease("poller", "a", 10)
    assert acquire_lease("poller", "b", 10) is None


def test_the_holder_renews_and_keeps_its_fence() -> None:
    acquire_lease("poller", "a", 10)
    Lease.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert acquire_lease("poller", "a", 10) == 1
    assert acquire_lease("poller", "b", 10) is None


def test_flt10_an_expired_lease_goes_to_another_with_a_higher_fence() -> None:
    acquire_lease("poller", "a", 10)
    Lease.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert acquire_lease("poller", "b", 10) == 2
    assert acquire_lease("poller", "a", 10) is None


def test_a_lease_given_back_is_taken_at_once_with_a_higher_fence() -> None:
    acquire_lease("poller", "a", 10)
    release_lease("poller", "b")  # not its holder: nothing happens
    assert acquire_lease("poller", "b", 10) is None
    release_lease("poller", "a")
    assert acquire_lease("poller", "b", 10) == 2


def test_leases_of_different_names_do_not_meet() -> None:
    assert acquire_lease("poller", "a", 10) == 1
    assert acquire_lease("sweeper", "b", 10) == 1
