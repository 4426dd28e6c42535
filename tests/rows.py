"""A reconciled kind of the tests' own, so that core and the workers' runtime are tested without the apps above them.

It borrows the app label of core to be found by its kind; its table is made by the fixture ``pumps`` in the test
database alone, and no migration knows it.
"""

from typing import ClassVar
from uuid import UUID

from django.db import models, transaction

from hub.core.changes import record_insert
from hub.core.models import Reconciled
from hub.core.sealed import SealedText


class Pump(Reconciled):
    """Wants to run at ``wanted_speed``; ``speed`` is what was observed."""

    name = models.CharField(max_length=63)
    tenant_id = models.UUIDField(null=True)
    wanted_speed = models.IntegerField(default=1)
    speed = models.IntegerField(default=0)
    pin = SealedText(default="", blank=True)
    spare_pin = SealedText(default="", blank=True)

    objects: ClassVar["models.Manager[Pump]"] = models.Manager()

    class Meta(Reconciled.Meta):
        app_label = "core"
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return self.name


def insert_pump(name: str = "p", *, tenant_id: UUID | None = None, pin: str = "") -> Pump:
    pump = Pump(name=name, tenant_id=tenant_id, pin=pin)
    with transaction.atomic():
        record_insert(pump)
    return pump
