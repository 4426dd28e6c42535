"""Secrets at rest: bound to their place, never shown by themselves, never written in clear."""

import json
import pickle
import traceback
from uuid import uuid4

import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction

from hub.core.changes import record_update
from hub.core.errors import HubError
from hub.core.keys import key_ring
from hub.core.sealed import Ciphertext, Sealed
from tests.rows import Pump, insert_pump

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db]

CANARY = "canary-7f3a"


def stored(column: str = "pin") -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM core_pump ORDER BY id LIMIT 1")
        value: str = cursor.fetchone()[0]
    return value


def overwrite(value: str, column: str = "pin") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE core_pump SET {column} = %s", [value])


def test_a_secret_comes_back_and_the_column_holds_its_ciphertext() -> None:
    insert_pump(pin=CANARY)
    assert Pump.objects.get().pin.reveal() == CANARY
    version, key_id, _ = stored().split(".")
    assert (version, key_id) == ("v1", key_ring().current)
    assert CANARY not in stored()


def test_two_seals_of_one_text_differ() -> None:
    pump = insert_pump(pin=CANARY)
    first = stored()
    pump.pin = CANARY
    record_update(pump, ["pin"])
    assert stored() != first


def test_sec01_a_secret_shows_as_stars_wherever_it_lands() -> None:
    pump = insert_pump(pin=CANARY)
    for row in (pump, Pump.objects.get()):
        shown = f"{row.pin} {row.pin!r} {row.__dict__} {[row.pin]} %s" % row.pin
        assert CANARY not in shown
        assert "***" in shown
        with pytest.raises(TypeError):
            json.dumps(row.pin)
        with pytest.raises(TypeError):
            pickle.dumps(row.pin)


def test_sec04_a_traceback_with_locals_shows_no_secret() -> None:
    pump = insert_pump(pin=CANARY)
    try:
        raise ZeroDivisionError(pump.pin)
    except ZeroDivisionError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY not in text.replace(f"CANARY = '{CANARY}'", "")


def test_no_secret_is_falsy_and_empty() -> None:
    insert_pump()
    pump = Pump.objects.get()
    assert not pump.pin
    assert pump.pin.reveal() == stored() == ""


def test_a_secret_not_yet_written_can_be_read() -> None:
    assert Pump(pin=CANARY).pin.reveal() == CANARY


def test_only_text_is_taken() -> None:
    with pytest.raises(TypeError):
        Pump(pin=None)
    with pytest.raises(TypeError):
        Pump(pin=b"bytes")


@pytest.mark.parametrize("damage", ["other key", "other form", "bit", "truncated", "not base64", "empty body"])
def test_flt41_a_ciphertext_that_does_not_open_is_an_error_and_the_row_stays_readable(damage: str) -> None:
    insert_pump("readable", pin=CANARY)
    form, key_id, body = stored().split(".")
    flipped = body[:-3] + ("A" if body[-3] != "A" else "B") + body[-2:]
    overwrite(
        {
            "other key": f"{form}.k9.{body}",
            "other form": f"v2.{key_id}.{body}",
            "bit": f"{form}.{key_id}.{flipped}",
            "truncated": f"{form}.{key_id}.{body[:20]}",
            "not base64": f"{form}.{key_id}.%%%",
            "empty body": f"{form}.{key_id}.",
        }[damage]
    )
    pump = Pump.objects.get()
    assert (pump.name, bool(pump.pin)) == ("readable", True)
    with pytest.raises(HubError) as caught:
        pump.pin.reveal()
    assert caught.value.code == "secret.unreadable"
    assert body not in str(caught.value)


def test_a_ciphertext_pasted_into_another_row_does_not_open() -> None:
    insert_pump(pin=CANARY)
    insert_pump("other")
    overwrite(stored())
    first, second = Pump.objects.all()
    assert first.pin.reveal() == CANARY
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        second.pin.reveal()


def test_a_ciphertext_pasted_into_another_column_does_not_open() -> None:
    insert_pump(pin=CANARY)
    overwrite(stored("pin"), "spare_pin")
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        Pump.objects.get().spare_pin.reveal()


def test_a_row_pasted_into_another_tenant_does_not_open() -> None:
    insert_pump(pin=CANARY, tenant_id=uuid4())
    Pump.objects.update(tenant_id=uuid4())
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        Pump.objects.get().pin.reveal()


def test_a_row_that_changes_hands_by_a_service_takes_its_secrets_along() -> None:
    insert_pump(pin=CANARY, tenant_id=uuid4())
    pump = Pump.objects.get()
    pump.tenant_id = uuid4()
    record_update(pump, ["tenant_id"])
    moved = Pump.objects.get()
    assert moved.tenant_id == pump.tenant_id
    assert moved.pin.reveal() == CANARY
    assert not moved.spare_pin


def test_a_new_secret_given_while_the_row_changes_hands_is_the_one_kept() -> None:
    insert_pump(pin="old", tenant_id=uuid4())
    pump = Pump.objects.get()
    pump.tenant_id, pump.pin = uuid4(), CANARY
    record_update(pump, ["tenant_id", "pin"])
    assert Pump.objects.get().pin.reveal() == CANARY


def test_a_secret_assigned_from_another_row_is_sealed_for_the_new_place() -> None:
    first = insert_pump(pin=CANARY)
    second = insert_pump("second")
    second.pin = first.pin
    record_update(second, ["pin"])
    assert Pump.objects.get(name="second").pin.reveal() == CANARY


def test_clear_text_reaches_no_column_past_the_row() -> None:
    insert_pump()
    with pytest.raises(TypeError), transaction.atomic():
        Pump.objects.update(pin=CANARY)
    Pump.objects.bulk_create([Pump(name="bulk", pin=CANARY)])
    assert Pump.objects.get(name="bulk").pin.reveal() == CANARY


def test_bulk_update_seals_too() -> None:
    pump = insert_pump()
    pump.pin = CANARY
    Pump.objects.bulk_update([pump], ["pin"])
    assert Pump.objects.get().pin.reveal() == CANARY


def test_values_gives_ciphertext() -> None:
    insert_pump(pin=CANARY)
    value = Pump.objects.values_list("pin", flat=True).get()
    assert isinstance(value, Ciphertext)


def test_deferred_and_refreshed_secrets_open() -> None:
    insert_pump(pin=CANARY)
    deferred = Pump.objects.defer("pin").get()
    assert isinstance(deferred.pin, Sealed)
    assert deferred.pin.reveal() == CANARY
    deferred.refresh_from_db()
    assert deferred.pin.reveal() == CANARY


@pytest.mark.parametrize("lookup", ["pin", "pin__startswith", "pin__in", "pin__gt"])
def test_sec01_a_secret_cannot_be_searched_for(lookup: str) -> None:
    with pytest.raises(FieldError):
        Pump.objects.filter(**{lookup: "x"}).exists()
