"""Questions asked of identity's rows."""

import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from .models import ApiToken  # noqa: F401


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens by whether they still open anything."""

    def live(self, now: datetime.datetime | None = None) -> Self:
        """Tokens not revoked, not expired, of users who may log in."""
        now = now or timezone.now()
        return self.filter(revoked_at__isnull=True, expires_at__gt=now, user__is_active=True)

    def unused_since(self, moment: datetime.datetime) -> Self:
        """Tokens whose last recorded use lies before ``moment``."""
        return self.filter(Q(last_used_at__isnull=True) | Q(last_used_at__lt=moment))
