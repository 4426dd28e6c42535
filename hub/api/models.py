"""The one table of the API: answers kept for clients that send a POST again. ``idempotency`` writes and reads it."""

from typing import ClassVar

from django.db import models

from hub.core.ids import uuid7
from hub.core.sealed import SealedText


class KeptAnswer(models.Model):
    """The answer to one POST with an ``Idempotency-Key``; without ``status`` the request is still under way.

    Belongs to the credential that sent it, so that a narrower token cannot read what a wider one was answered. ``digest``
    is that of method, path and body. ``body`` is sealed as a whole, because some answers hold a new token. A request that
    has been under way until ``locked_until`` has died, and another may take its place.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor_id = models.UUIDField()
    token_id = models.UUIDField(null=True)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    locked_until = models.DateTimeField()
    expires_at = models.DateTimeField()
    status = models.SmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = SealedText(default="", blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["actor_id", "token_id", "key"], name="keptanswer_once", nulls_distinct=False
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["expires_at"], name="keptanswer_expires")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status or 'under way'}"
