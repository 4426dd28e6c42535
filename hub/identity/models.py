"""Rows of identity: users, their API tokens, and the counters of failed logins."""

from typing import ClassVar

from django.db import models

from hub.core.models import Record

from .querysets import ApiTokenQuerySet


class User(Record):
    """A local account. ``password_hash`` is Django's encoded form (Argon2), "" when no password can log in."""

    username = models.CharField(max_length=64, unique=True)
    display_name = models.CharField(max_length=200, blank=True, default="")
    password_hash = models.CharField(max_length=255, blank=True, default="", editable=False)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.username


class ApiToken(Record):
    """A bearer token of a user; the secret itself is nowhere (see ``token_format``)."""

    key_id = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    scope = models.JSONField(default=dict)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"


class LoginFailures(models.Model):
    """How often logging in has failed lately, per bucket (see ``login_limits``). No names: a bucket is a hash."""

    bucket = models.CharField(max_length=64, primary_key=True)
    failures = models.IntegerField(default=1)
    window_ends_at = models.DateTimeField()

    class Meta:
        verbose_name_plural: ClassVar[str] = "login failures"
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["window_ends_at"], name="login_failures_window")]

    def __str__(self) -> str:
        return f"{self.failures} until {self.window_ends_at:%H:%M:%S}"
