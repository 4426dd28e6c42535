"""Questions asked of identity's rows."""

import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from .models import ApiToken, Session  # noqa: F401


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens by whether they still open anything."""

    def live(self, now: datetime.datetime | None = None) -> Self:
        """Tokens not revoked, not expired, of users who may log in and need not change their password first; those of a
        login only while it lasts.
        """
        now = now or timezone.now()
        of_login = Q(session__isnull=True) | Q(session__ended_at__isnull=True)
        return self.filter(
            of_login,
            revoked_at__isnull=True,
            expires_at__gt=now,
            user__is_active=True,
            user__must_change_password=False,
        )

    def unused_since(self, moment: datetime.datetime) -> Self:
        """Tokens whose last recorded use lies before ``moment``."""
        return self.filter(Q(last_used_at__isnull=True) | Q(last_used_at__lt=moment))


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions by whether they still open anything."""

    def live(self, idle: datetime.timedelta, now: datetime.datetime | None = None) -> Self:
        """Sessions not ended, not expired, seen within ``idle``, of users who may log in."""
        now = now or timezone.now()
        return self.filter(ended_at__isnull=True, expires_at__gt=now, last_seen_at__gt=now - idle, user__is_active=True)

    def lapsed(self, idle: datetime.timedelta, now: datetime.datetime | None = None) -> Self:
        """Sessions that nobody has ended although they are over, the oldest first."""
        now = now or timezone.now()
        over = Q(expires_at__lte=now) | Q(last_seen_at__lte=now - idle)
        return self.filter(over, ended_at__isnull=True).order_by("created_at")

    def besides(self, session_id: UUID | None) -> Self:
        """All but this one; simply all for None."""
        return self if session_id is None else self.exclude(pk=session_id)
