"""Rows of identity: users and the ways they show who they are, sessions, tokens, providers, and the groups they tell of.

Every secret that only has to be recognised is kept as a keyed hash (``token_format``); one that has to be used again, such
as a provider's client secret, is sealed.
"""

from typing import ClassVar

from django.db import models

from hub.core.models import Record
from hub.core.sealed import SealedText

from .querysets import ApiTokenQuerySet, SessionQuerySet


class UserKind(models.TextChoices):
    """A service account is a user that nobody logs in as; ``hub.tenancy`` says which project it belongs to."""

    PERSON = "person"
    SERVICE_ACCOUNT = "service_account"


class User(Record):
    """An account. ``password_hash`` is Django's encoded form (Argon2), "" when no password can log in.

    ``totp_secret`` is base32; it counts as a second factor once ``totp_confirmed_at`` is set, and ``totp_last_step`` is
    the time step of the last code that was taken, so that none is taken twice.
    """

    username = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=UserKind, default=UserKind.PERSON, db_default=UserKind.PERSON.value)
    display_name = models.CharField(max_length=200, blank=True, default="")
    email = models.CharField(max_length=254, blank=True, default="", db_default="")
    password_hash = models.CharField(max_length=255, blank=True, default="", editable=False)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    totp_secret = SealedText(default="", blank=True, db_default="")
    totp_confirmed_at = models.DateTimeField(null=True, blank=True)
    totp_last_step = models.BigIntegerField(default=0, db_default=0)
    last_login_at = models.DateTimeField(null=True, blank=True)

    @property
    def has_second_factor(self) -> bool:
        """Whether the password alone does not log him in."""
        return self.totp_confirmed_at is not None

    def __str__(self) -> str:
        return self.username


class RecoveryCode(Record):
    """A code that stands in once for a second factor that was lost."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.BinaryField(max_length=32)
    pepper_id = models.CharField(max_length=32)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class ProviderKind(models.TextChoices):
    """``keycloak`` is OpenID Connect with Keycloak's administration beside it: search, sync, disabled users."""

    OIDC = "oidc"
    KEYCLOAK = "keycloak"


class AccessMode(models.TextChoices):
    """Who of a provider's users may come in: all, or those in one of ``allowed_groups``."""

    OPEN = "open"
    RESTRICTED = "restricted"


class IdentityProvider(Record):
    """An OpenID Connect provider. ``name`` is a DNS label and part of the redirect URI, so it stays.

    ``groups_claim`` holds the user's groups, each by what ``group_key`` says: "id" (an immutable id) or "path" (Keycloak's
    full path). ``admin_client_id`` and its secret are for Keycloak's administration; "" uses the login client's own.
    """

    name = models.CharField(max_length=63, unique=True)
    kind = models.CharField(max_length=20, choices=ProviderKind)
    display_name = models.CharField(max_length=200, blank=True, default="")
    issuer = models.CharField(max_length=500, unique=True)
    client_id = models.CharField(max_length=200)
    client_secret = SealedText(default="", blank=True)
    scopes = models.JSONField(default=list)
    ca_pem = models.TextField(default="", blank=True)
    username_claim = models.CharField(max_length=100, default="preferred_username")
    name_claim = models.CharField(max_length=100, default="name")
    email_claim = models.CharField(max_length=100, default="email")
    groups_claim = models.CharField(max_length=100, default="groups", blank=True)
    group_key = models.CharField(max_length=10, default="path")
    access_mode = models.CharField(max_length=20, choices=AccessMode, default=AccessMode.OPEN)
    allowed_groups = models.JSONField(default=list, blank=True)
    admin_client_id = models.CharField(max_length=200, default="", blank=True)
    admin_client_secret = SealedText(default="", blank=True)
    is_enabled = models.BooleanField(default=False)
    tested_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)
    sync_error = models.CharField(max_length=500, default="", blank=True)

    def __str__(self) -> str:
        return self.name


class ExternalIdentity(Record):
    """Who a user is at a provider: the key is (issuer, subject) and nothing else (SEC-51).

    ``groups_confirmed_at`` is when the provider last told his groups: what is older than the limit does not count
    (SEC-49). ``disabled_at`` is when the provider was seen to have disabled or lost him (SEC-46).
    """

    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="identities")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    refresh_token = SealedText(default="", blank=True)
    groups_confirmed_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural: ClassVar[str] = "external identities"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="external_identity_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class Group(Record):
    """A provider's group. ``key`` is its immutable id or full path, matched exactly (SEC-50); ``name`` is for people."""

    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="groups")
    key = models.CharField(max_length=500)
    name = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["provider", "key"], name="group_once"),
        ]

    def __str__(self) -> str:
        return self.name or self.key


class GroupMembership(models.Model):
    """That a provider says: this identity is in this group."""

    identity = models.ForeignKey(ExternalIdentity, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["identity", "group"], name="group_membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.identity_id} in {self.group_id}"


class LoginMethod(models.TextChoices):
    """How somebody has shown who he is. ``link`` is the one-time link that the server's own command makes."""

    PASSWORD = "password"  # noqa: S105  # a way, not one
    PROVIDER = "provider"
    LINK = "link"


class Session(Record):
    """A browser's login: the cookie's secret is nowhere (see ``token_format``). Ended for good by ``ended_at``.

    ``expires_at`` is the absolute end; the idle one follows from ``last_seen_at``. ``provider_session_id`` is the
    provider's ``sid``, by which its back-channel logout names the session; ``id_token`` goes back with a logout there.
    """

    key_id = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    identity = models.ForeignKey(
        ExternalIdentity, null=True, blank=True, on_delete=models.CASCADE, related_name="sessions"
    )
    method = models.CharField(
        max_length=20, choices=LoginMethod, default=LoginMethod.PASSWORD, db_default=LoginMethod.PASSWORD.value
    )
    provider_session_id = models.CharField(max_length=255, default="", blank=True)
    id_token = SealedText(default="", blank=True)
    peer = models.CharField(max_length=45, default="", blank=True)
    user_agent = models.CharField(max_length=300, default="", blank=True)
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=40, default="", blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["provider_session_id"], name="session_of_provider"),
        ]

    def __str__(self) -> str:
        return f"session {self.key_id}"


class TokenPurpose(models.TextChoices):
    """``kubeconfig``: embedded in a downloaded file. ``login``: short, got by ``paddock-login``."""

    API = "api"
    KUBECONFIG = "kubeconfig"
    LOGIN = "login"


class ApiToken(Record):
    """A bearer token of a user; the secret itself is nowhere (see ``token_format``).

    ``session`` is the login it was derived from, if any: it ends with it. ``replaced_by`` is the token that rotation made;
    both are good until this one's ``expires_at``, which rotation has brought forward.
    """

    key_id = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    purpose = models.CharField(
        max_length=20, choices=TokenPurpose, default=TokenPurpose.API, db_default=TokenPurpose.API.value
    )
    scope = models.JSONField(default=dict)
    session = models.ForeignKey(Session, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    replaced_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"


class SignOn(models.Model):
    """A login at a provider that is under way: made when the browser is sent there, used once when it comes back (SEC-54).

    ``id`` is the hash of the state, ``browser_hash`` that of the cookie which only this browser has. ``test`` of a provider
    that is not saved carries its settings in ``draft``. ``session`` is what came of it: it ends when somebody brings the
    same answer a second time.
    """

    id = models.BinaryField(max_length=32, primary_key=True)
    provider = models.ForeignKey(IdentityProvider, null=True, on_delete=models.CASCADE, related_name="+")
    draft = models.ForeignKey("ProviderDraft", null=True, on_delete=models.CASCADE, related_name="+")
    browser_hash = models.BinaryField(max_length=32)
    nonce = models.CharField(max_length=64)
    code_verifier = models.CharField(max_length=128)
    return_to = models.CharField(max_length=500, default="/")
    session = models.ForeignKey(Session, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-on until {self.expires_at:%H:%M:%S}"


class ProviderDraft(Record):
    """Settings of a provider while an administrator tests them: ``settings`` as the API takes them, secrets sealed apart.

    ``steps`` is a list of ``{"name", "state", "message", "fix", "at"}``; the draft is saved as a provider once all passed.
    """

    settings = models.JSONField(default=dict)
    client_secret = SealedText(default="", blank=True)
    admin_client_secret = SealedText(default="", blank=True)
    provider = models.ForeignKey(IdentityProvider, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    steps = models.JSONField(default=list)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"draft {self.pk}"


class SeenLogoutToken(models.Model):
    """The ``jti`` of a logout token that was taken, until it has expired: none is taken twice (SEC-53)."""

    id = models.BinaryField(max_length=32, primary_key=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"logout token until {self.expires_at:%H:%M:%S}"


class CliLoginState(models.TextChoices):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CONSUMED = "consumed"


class CliLogin(Record):
    """A login of ``paddock-login`` that waits for its user to say yes in a browser.

    By device flow: the program polls with the device code whose hash is ``code_hash``, the user types ``user_code``. By
    loopback: ``redirect_uri`` and ``code_challenge`` (S256) are set, and ``code_hash`` is that of the code that the
    browser carries back. ``host`` and ``peer`` say who asks, for the page that confirms (SEC-54). ``session`` is the login
    that said yes, ``token`` what came of it.
    """

    code_hash = models.BinaryField(max_length=32, unique=True)
    pepper_id = models.CharField(max_length=32)
    user_code = models.CharField(max_length=16, unique=True, null=True)
    redirect_uri = models.CharField(max_length=200, default="", blank=True)
    code_challenge = models.CharField(max_length=64, default="", blank=True)
    client_state = models.CharField(max_length=200, default="", blank=True)
    scope = models.JSONField(default=dict)
    lifetime_seconds = models.IntegerField()
    host = models.CharField(max_length=253, default="", blank=True)
    peer = models.CharField(max_length=45, default="", blank=True)
    state = models.CharField(max_length=20, choices=CliLoginState, default=CliLoginState.PENDING)
    session = models.ForeignKey(Session, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    token = models.ForeignKey(ApiToken, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    last_polled_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"login from {self.host or self.peer}: {self.state}"


class LoginLink(Record):
    """A one-time link that logs a user in, made on the server by the break-glass command."""

    secret_hash = models.BinaryField(max_length=32, unique=True)
    pepper_id = models.CharField(max_length=32)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"login link of {self.user_id}"


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
