"""Moving stored secrets to a new master key."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from hub.audit.management.commands import rekey
from hub.audit.models import AuditEvent
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.core.keys import key_ring
from hub.core.models import Change, hub_identity
from hub.core.sealed import SealedText
from hub.tenancy.models import Credential, Project, Tenant
from tests.rows import Pump, insert_pump

pytestmark = [pytest.mark.usefixtures("pumps"), pytest.mark.django_db]

UseKeys = Callable[[dict[str, str]], None]


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def use_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UseKeys]:
    """Puts other master keys into use, as a restart with another keys file would."""

    def use(keys: dict[str, str]) -> None:
        path = tmp_path / f"{'-'.join(keys)}.json"
        path.write_text(json.dumps({"keys": keys, "peppers": {"p1": new_key()}, "signing": new_key()}))
        path.chmod(0o600)
        monkeypatch.setenv("PADDOCK_KEYS_FILE", str(path))
        environment.cache_clear()

    yield use
    monkeypatch.undo()
    environment.cache_clear()


def run(**options: Any) -> str:
    out = StringIO()
    call_command("rekey", stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def key_ids() -> set[str]:
    return {
        value.split(".")[1] for value in Pump.objects.exclude(pin__isnull=True).values_list("pin", flat=True) if value
    }


def test_flt41_every_secret_moves_to_the_first_key_and_the_old_one_can_go(use_keys: UseKeys) -> None:
    old, new = new_key(), new_key()
    use_keys({"old": old})
    for number in range(5):
        insert_pump(f"p{number}", pin=f"pin-{number}")
    insert_pump("without")
    use_keys({"new": new, "old": old})
    assert "again: 5" in run()
    assert key_ids() == {"new"}
    use_keys({"new": new})
    assert [pump.pin.reveal() for pump in Pump.objects.all()] == ["pin-0", "pin-1", "pin-2", "pin-3", "pin-4", ""]


def test_the_canary_moves_too(use_keys: UseKeys) -> None:
    old, new = new_key(), new_key()
    use_keys({"old": old})
    identity = hub_identity()
    identity.canary = "paddock"
    identity.save()
    use_keys({"new": new, "old": old})
    run()
    use_keys({"new": new})
    assert hub_identity().canary.reveal() == "paddock"


def test_it_is_no_change_of_the_rows(use_keys: UseKeys) -> None:
    old = new_key()
    use_keys({"old": old})
    insert_pump(pin="x")
    hints = Change.objects.count()
    use_keys({"new": new_key(), "old": old})
    run()
    assert Pump.objects.get().version == 1
    assert Change.objects.count() == hints


def test_who_did_it_at_the_console_is_in_the_trail(use_keys: UseKeys) -> None:
    use_keys({"new": new_key()})
    run(dry_run=True)
    assert not AuditEvent.objects.filter(verb="rekey").exists()
    run()
    event = AuditEvent.objects.get(verb="rekey")
    assert event.actor_kind == "system"
    assert event.actor_name.startswith("console (")
    assert event.detail == {"key": "new", "sealed": 0, "unreadable": 0}


def test_a_dry_run_only_counts(use_keys: UseKeys) -> None:
    old = new_key()
    use_keys({"old": old})
    insert_pump(pin="x")
    use_keys({"new": new_key(), "old": old})
    assert "would seal again: 1" in run(dry_run=True)
    assert key_ids() == {"old"}


def test_flt41_a_run_that_was_killed_is_continued(use_keys: UseKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    old = new_key()
    use_keys({"old": old})
    for number in range(5):
        insert_pump(f"p{number}", pin=f"pin-{number}")
    use_keys({"new": new_key(), "old": old})
    moves = iter(range(2))
    move = rekey._move

    def killed_at_the_third(row: Pump, field: SealedText, *, dry_run: bool) -> None:
        next(moves, None) is not None or pytest.fail("killed")
        move(row, field, dry_run=dry_run)

    monkeypatch.setattr(rekey, "_move", killed_at_the_third)
    with pytest.raises(pytest.fail.Exception):
        run()
    assert key_ids() == {"new", "old"}
    monkeypatch.setattr(rekey, "_move", move)
    assert "again: 3" in run()
    assert [pump.pin.reveal() for pump in Pump.objects.all()] == [f"pin-{number}" for number in range(5)]


def test_flt41_what_does_not_open_is_named_and_left_and_the_rest_is_moved(use_keys: UseKeys) -> None:
    lost, old = new_key(), new_key()
    use_keys({"lost": lost})
    unlucky = insert_pump("unlucky", pin="gone")
    use_keys({"old": old})
    insert_pump("lucky", pin="kept")
    use_keys({"new": new_key(), "old": old})
    err = StringIO()
    with pytest.raises(CommandError, match="1 secrets"):
        call_command("rekey", stdout=StringIO(), stderr=err)
    assert str(unlucky.pk) in err.getvalue()
    assert Pump.objects.get(name="lucky").pin.reveal() == "kept"
    with pytest.raises(HubError):
        Pump.objects.get(name="unlucky").pin.reveal()


def test_a_secret_written_meanwhile_is_not_overwritten(use_keys: UseKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    old = new_key()
    use_keys({"old": old})
    insert_pump(pin="before")
    use_keys({"new": new_key(), "old": old})
    read = rekey._rows_of_other_keys

    def read_and_be_overtaken(model: type[Pump], field: SealedText) -> Iterator[Pump]:
        for row in list(read(model, field)):
            other = Pump.objects.get()
            other.pin = "meanwhile"
            other.save()
            assert isinstance(row, Pump)
            yield row

    monkeypatch.setattr(rekey, "_rows_of_other_keys", read_and_be_overtaken)
    run()
    assert Pump.objects.get().pin.reveal() == "meanwhile"
    assert key_ring().current == "new"


@pytest.mark.servers  # starts Python anew, six times
@pytest.mark.django_db(transaction=True)
def test_flt41_killed_five_times_on_its_way_it_ends_with_all_secrets(use_keys: UseKeys, database_url: str) -> None:
    """Each run is stopped by a row that somebody else holds, killed there without warning, and begun anew."""
    old, new = new_key(), new_key()
    use_keys({"old": old})
    tenant = Tenant(name="acme")
    project = Project(tenant=tenant, name="web")
    count = 2_400
    rows = [Credential(tenant=tenant, project=project, name=f"c{n}", kind="token") for n in range(count)]
    for number, row in enumerate(rows):
        row.data = f"secret-{number}"
    tenant.save()
    project.save()
    Credential.objects.bulk_create(rows, batch_size=1000)
    use_keys({"new": new, "old": old})
    spent = 0.0
    for kill in range(1, 6):
        spent += _run_and_kill(database_url, rows[kill * count // 6], kill * count // 6)
    began = time.monotonic()
    subprocess.run(COMMAND, env={**os.environ, "DATABASE_URL": database_url}, cwd=settings.BASE_DIR, check=True)
    print(f"{count} secrets in {spent + time.monotonic() - began:.1f} s, six starts among them")
    use_keys({"new": new})
    assert [row.data.reveal() for row in Credential.objects.order_by("pk")] == [f"secret-{n}" for n in range(count)]


COMMAND = [sys.executable, "manage.py", "rekey"]


def _run_and_kill(database_url: str, held: Credential, sealed_before: int) -> float:
    """Runs the command until it waits for ``held``, having sealed what comes before, and kills it; how long it ran."""
    began = time.monotonic()
    with transaction.atomic():
        Credential.objects.select_for_update().get(pk=held.pk)
        with subprocess.Popen(
            COMMAND, env={**os.environ, "DATABASE_URL": database_url}, cwd=settings.BASE_DIR
        ) as process:
            while _sealed_anew() < sealed_before:
                assert process.poll() is None
                time.sleep(0.05)
            process.kill()
    assert _sealed_anew() - sealed_before in {0, 1}  # the server may end the statement of a client that is gone
    return time.monotonic() - began


def _sealed_anew() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenancy_credential WHERE data LIKE 'v1.new.%'")
        found: int = cursor.fetchone()[0]
    return found
