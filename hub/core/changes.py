"""The one change function: every service write and every status write goes through here, inside the caller's
transaction.

It guards the write, raises the row's version, leaves a ``Change`` hint and notifies listeners. Claiming and waking
rows is ``hub.core.work``; what a change means is the caller's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection, models, transaction
from django.utils import timezone

from .errors import HubError
from .models import Change, Record
from .sealed import SealedText

if TYPE_CHECKING:
    from .work import Claim

CHANNEL = "paddock_changes"

# One round trip. PostgreSQL delivers equal notifications of a transaction once, so a batch of writes notifies once.
_HINT = """
WITH hint AS (INSERT INTO core_change (kind, object_id, version, tenant_id) VALUES (%s, %s, %s, %s))
SELECT pg_notify(%s, '')
"""


class StaleVersion(HubError):
    """The row has another version than the writer read, or is gone: read again, then decide again."""

    def __init__(self, row: Record, expected_version: int | None) -> None:
        super().__init__("object.stale", kind=row.object_kind, id=str(row.pk), expected_version=expected_version)


class LostClaim(Exception):
    """Another worker has claimed the row since, or the row is gone. Nothing was written; stop at once."""


def record_insert(row: Record) -> None:
    """Inserts a new row as version 1."""
    _require_transaction()
    row.version = 1
    row.save(force_insert=True)
    _leave_hint(row, row.version)


def record_update(
    row: Record,
    fields: Iterable[str],
    *,
    claim: "Claim[Any] | None" = None,
    expected_version: int | None = None,
    new_generation: bool = False,
) -> None:
    """Writes the named fields of ``row``, and no others, so writers of different fields do not undo each other.

    With ``claim`` the write happens only while that claim is the row's latest (raises LostClaim); with
    ``expected_version`` only while the row has that version (raises StaleVersion). ``new_generation`` tells that what
    is wanted has changed. A row that is gone raises StaleVersion. Afterwards ``row`` holds its new version.
    """
    _require_transaction()
    values = _values(row, fields)
    row.updated_at = values["updated_at"] = timezone.now()
    values["version"] = models.F("version") + 1
    if new_generation:
        values["generation"] = models.F("generation") + 1
    rows = _manager(row).filter(pk=row.pk, **_guards(claim, expected_version))
    if rows.update(**values) == 0:
        raise _refusal(row, claim, expected_version)
    # The update holds the row's lock, so this reads what it wrote.
    current = _manager(row).filter(pk=row.pk).values("version", *(["generation"] if new_generation else [])).get()
    for name, value in current.items():
        setattr(row, name, value)
    _leave_hint(row, row.version)


def record_delete(row: Record, *, claim: "Claim[Any] | None" = None, expected_version: int | None = None) -> None:
    """Deletes the row. Raises like ``record_update``, and ``ProtectedError`` when other rows still need it."""
    _require_transaction()
    guards = _guards(claim, expected_version)
    locked = _manager(row).select_for_update().filter(pk=row.pk, **guards).values_list("version", flat=True).first()
    if locked is None:
        raise _refusal(row, claim, expected_version)
    identity = row.pk
    row.delete()
    row.pk = identity  # Django clears it; callers still name the row in logs and audit
    _leave_hint(row, locked + 1)


@dataclass(frozen=True, slots=True)
class Hint:
    kind: str
    object_id: UUID
    version: int
    tenant_id: UUID | None


def current_position() -> int:
    """Where a listener starts that has just read what it shows; see ``changes_after``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        position: int = cursor.fetchone()[0]
    return position


def changes_after(position: int) -> tuple[list[Hint], int]:
    """The hints of all transactions that ended since ``position``, and the next position.

    Nothing that commits late is overlooked; a hint may come twice. A listener that was away longer than hints are kept
    starts again at ``current_position`` and reads afresh.
    """
    upto = current_position()
    rows = Change.objects.filter(transaction__gte=position, transaction__lt=upto).order_by("transaction", "id")
    return [Hint(row.kind, row.object_id, row.version, row.tenant_id) for row in rows], upto


def delete_hints_older_than(age: timedelta, *, batch: int = 10_000) -> int:
    """Retention: deletes one batch of hints older than ``age``; how many."""
    old = Change.objects.filter(at__lt=timezone.now() - age).order_by("at").values("pk")[:batch]
    deleted, _ = Change.objects.filter(pk__in=old).delete()
    return deleted


def _require_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a change is recorded inside transaction.atomic(), together with what it belongs to")


def _manager(row: Record) -> "models.Manager[Record]":
    return type(row)._base_manager


def _guards(claim: "Claim[Any] | None", expected_version: int | None) -> dict[str, Any]:
    guards: dict[str, Any] = {}
    if claim is not None:
        guards["fence"] = claim.fence
    if expected_version is not None:
        guards["version"] = expected_version
    return guards


def _refusal(row: Record, claim: "Claim[Any] | None", expected_version: int | None) -> Exception:
    if claim is not None and not _manager(row).filter(pk=row.pk, **_guards(claim, None)).exists():
        return LostClaim(f"{row.object_kind} {row.pk}: fence {claim.fence} is no longer the latest")
    return StaleVersion(row, expected_version)


def _values(row: Record, names: Iterable[str]) -> dict[str, Any]:
    fields = [field for field in map(row._meta.get_field, names) if isinstance(field, models.Field)]
    if any(field.attname == "tenant_id" for field in fields):
        fields += _take_secrets_along(row)
    return {field.name: field.pre_save(row, False) for field in fields}


def _take_secrets_along(row: Record) -> list[SealedText]:
    """A secret is bound to the row's tenant, so a row that changes hands has its secrets sealed again."""
    sealed = [field for field in row._meta.concrete_fields if isinstance(field, SealedText)]
    if sealed:
        before = _manager(row).select_for_update().filter(pk=row.pk).first()
        for field in sealed:
            if before is not None and getattr(row, field.attname).is_stored:
                setattr(row, field.attname, getattr(before, field.attname).reveal())
    return sealed


def _leave_hint(row: Record, version: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_HINT, [row.object_kind, row.pk, version, row.owning_tenant_id, CHANNEL])
