"""``manage.py rekey``: seals every stored secret with the first key of the keys file.

Resumable and safe beside a running hub: it looks for values of other keys, replaces each only while it still is what was
read, and a killed run is continued by the next. To change keys: add the new key at the end of the file and restart
everything, move it to the front and restart again, run ``rekey``, then take the old key out.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, models
from django.db.models.functions import Cast

from hub.audit.console import console
from hub.audit.services import record
from hub.core.errors import HubError
from hub.core.keys import FORMAT, key_ring
from hub.core.sealed import Ciphertext, SealedText

BATCH = 200


class Command(BaseCommand):
    help = "Seals stored secrets again with the first key of PADDOCK_KEYS_FILE."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count what would be sealed again.")

    def handle(self, *args: Any, **options: Any) -> None:
        moved = unreadable = 0
        # Nobody waits for the disk after each row: what a crash takes back is found again by the next run. The commit that
        # ends this run waits, for all of it, so that the old key may go then.
        set_synchronous_commit("off")
        for model, field in sealed_fields():
            for row in _rows_of_other_keys(model, field):
                try:
                    _move(row, field, dry_run=options["dry_run"])
                    moved += 1
                except HubError as error:
                    self.stderr.write(f"{model.__name__} {row.pk} {field.name}: {error.code}")
                    unreadable += 1
        set_synchronous_commit("on")
        if not options["dry_run"]:
            detail = {"key": key_ring().current, "sealed": moved, "unreadable": unreadable}
            record(console(), "rekey", "hub", detail=detail)
        self.stdout.write(f"{'would seal' if options['dry_run'] else 'sealed'} again: {moved}")
        if unreadable:
            raise CommandError(f"{unreadable} secrets do not open with the keys at hand and were left as they are")


def set_synchronous_commit(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('synchronous_commit', %s, false)", [value])


def sealed_fields() -> Iterator[tuple[type[models.Model], SealedText]]:
    """Every encrypted column of the hub."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedText):
                yield model, field


def _rows_of_other_keys(model: type[models.Model], field: SealedText) -> Iterator[models.Model]:
    """Rows in the order of their ids, read in batches: what cannot be moved is passed by and not read again."""
    raw = Cast(field.name, models.TextField())
    rows = model._base_manager.alias(raw=raw).exclude(raw="").exclude(raw__startswith=f"{FORMAT}.{key_ring().current}.")
    last = None
    while batch := list((rows if last is None else rows.filter(pk__gt=last)).order_by("pk")[:BATCH]):
        yield from batch
        last = batch[-1].pk


def _move(row: models.Model, field: SealedText, *, dry_run: bool) -> None:
    sealed = getattr(row, field.attname)
    before, text = sealed.token(), sealed.reveal()
    if dry_run:
        return
    setattr(row, field.attname, text)
    after = Ciphertext(getattr(row, field.attname).token())
    raw = Cast(field.name, models.TextField())
    # Not a change of the row: its version stays, nobody is told.
    type(row)._base_manager.alias(raw=raw).filter(pk=row.pk, raw=str(before)).update(**{field.name: after})
