"""Whole transactions are run again after a deadlock or a serialisation failure, and nothing else is."""

import threading

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from hub.core import transactions
from hub.core.transactions import ATTEMPTS, run_transaction
from tests.rows import Pump, insert_pump

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FIRST_PAUSE", 0.001)


def raise_in_database(sqlstate: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{sqlstate}'; END $$")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_flt13_the_whole_transaction_runs_again(sqlstate: str) -> None:
    tries: list[int] = []

    def body() -> str:
        tries.append(1)
        insert_pump(str(len(tries)))
        if len(tries) < 3:
            raise_in_database(sqlstate)
        return "done"

    assert run_transaction(body) == "done"
    assert [pump.name for pump in Pump.objects.all()] == ["3"]


def test_flt13_it_gives_up_after_five_tries() -> None:
    tries: list[int] = []

    def body() -> None:
        tries.append(1)
        raise_in_database("40001")

    with pytest.raises(OperationalError):
        run_transaction(body)
    assert len(tries) == ATTEMPTS == 5


def test_another_error_is_not_tried_again() -> None:
    tries: list[int] = []

    def body() -> None:
        tries.append(1)
        raise_in_database("23505")

    with pytest.raises(DatabaseError):
        run_transaction(body)
    assert len(tries) == 1


def test_inside_a_transaction_it_is_a_programming_error() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="outermost"):
        run_transaction(lambda: None)


def test_flt13_two_that_lock_each_other_out_both_end_well() -> None:
    first, second = insert_pump("a"), insert_pump("b")
    both_hold_one = threading.Barrier(2)
    failures: list[BaseException] = []

    def lock_in_order(*ids: object) -> None:
        tries: list[int] = []

        def body() -> None:
            tries.append(1)
            for position, id in enumerate(ids):
                Pump.objects.select_for_update().get(pk=id)
                Pump.objects.filter(pk=id).update(speed=1)
                if position == 0 and len(tries) == 1:
                    both_hold_one.wait(10)

        try:
            run_transaction(body)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=lock_in_order, args=(first.pk, second.pk)),
        threading.Thread(target=lock_in_order, args=(second.pk, first.pk)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert Pump.objects.filter(speed=1).count() == 2
