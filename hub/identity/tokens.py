"""API tokens: issued with their text shown once, recognised, replaced, and ended; each write with its audit event.

A token that came of a login ends with it, and so does whatever is issued with that token. Whether an actor may do this is
asked before, of ``hub.core.access``.
"""

import datetime
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hub.audit.services import record
from hub.core.access import Actor, TokenScope
from hub.core.changes import record_insert, record_update
from hub.core.environment import environment
from hub.core.errors import HubError, define

from .actors import actor_of
from .keyed_hashes import holds_secret, keyed_hash
from .models import ApiToken, Session, TokenPurpose, User
from .token_format import TokenText, generate_token, parse_token
from .token_scope import is_within, parse_scope, scope_to_json

DEFAULT_LIFETIMES = {
    TokenPurpose.API: datetime.timedelta(days=90),
    TokenPurpose.KUBECONFIG: datetime.timedelta(days=30),
    TokenPurpose.LOGIN: datetime.timedelta(hours=12),
}
LONGEST_OVERLAP = datetime.timedelta(days=30)
LAST_USED_INTERVAL = datetime.timedelta(minutes=5)
TOKEN_NAME_LIMIT = 100

define("token.name_invalid", 400, "The token's name is not valid")
define("token.lifetime_invalid", 400, "The token's lifetime is not valid")
define("token.overlap_invalid", 400, "The old token cannot stay good for that long")
define("token.ended", 409, "The token has ended already")
define("token.rotated", 409, "The token has been replaced already; rotate the one that replaced it")
define("token.not_rotatable", 409, "Only API tokens are rotated; log in or download the kubeconfig again")


def longest_lifetime(purpose: TokenPurpose) -> datetime.timedelta:
    """The hub's cap on the lives of such tokens."""
    settings = environment()
    return {
        TokenPurpose.API: datetime.timedelta(days=settings.token_max_days),
        TokenPurpose.KUBECONFIG: datetime.timedelta(days=min(settings.kubeconfig_max_days, settings.token_max_days)),
        TokenPurpose.LOGIN: datetime.timedelta(hours=settings.login_token_hours),
    }[purpose]


def default_lifetime(purpose: TokenPurpose) -> datetime.timedelta:
    """How long a token lives for which nobody says it."""
    return min(DEFAULT_LIFETIMES[purpose], longest_lifetime(purpose))


def issue_token(
    actor: Actor,
    user: User,
    *,
    name: str,
    lifetime: datetime.timedelta | None = None,
    scope: TokenScope | None = None,
    purpose: TokenPurpose = TokenPurpose.API,
    session: Session | None = None,
) -> tuple[ApiToken, str]:
    """A new token of ``user`` and its text, which is nowhere else and cannot be had again.

    With ``session`` it ends with that login. An actor who himself came with a token can issue only what is within that
    token's scope, and with the token of a login for himself only what ends with that login. Raises HubError
    ``token.name_invalid``, ``token.lifetime_invalid`` or ``token.scope_too_wide``.
    """
    scope = scope or TokenScope()
    lifetime = lifetime if lifetime is not None else default_lifetime(purpose)
    if not name.strip() or len(name) > TOKEN_NAME_LIMIT:
        raise HubError("token.name_invalid", pointer="/name", limit=TOKEN_NAME_LIMIT)
    if not datetime.timedelta(0) < lifetime <= longest_lifetime(purpose):
        maximum = int(longest_lifetime(purpose).total_seconds())
        raise HubError("token.lifetime_invalid", pointer="/expires_in_seconds", maximum_seconds=maximum)
    if actor.token_scope is not None and not is_within(scope, actor.token_scope):
        raise HubError("token.scope_too_wide", pointer="/scope")
    token, text = _build_token(user, name.strip(), scope, purpose, _login_of(actor, user) or session, lifetime)
    with transaction.atomic():
        record_insert(token)
        detail = {"user": user.username, "key_id": token.key_id, "purpose": purpose.value}
        record(actor, "create", "tokens", token, detail=detail)
    return token, text.render()


def rotate_token(actor: Actor, token: ApiToken, overlap: datetime.timedelta) -> tuple[ApiToken, str]:
    """A token that replaces ``token`` and lives as long as that was meant to; the old one ends after ``overlap``.

    Of two rotations at once one is refused. Raises HubError ``token.overlap_invalid``, ``token.ended``,
    ``token.rotated``, ``token.not_rotatable`` or ``token.scope_too_wide``.
    """
    if not datetime.timedelta(0) <= overlap <= LONGEST_OVERLAP:
        maximum = int(LONGEST_OVERLAP.total_seconds())
        raise HubError("token.overlap_invalid", pointer="/overlap_seconds", maximum_seconds=maximum)
    with transaction.atomic():
        old = ApiToken.objects.select_for_update(of=("self",)).select_related("user", "session").get(pk=token.pk)
        _check_rotatable(old)
        lifetime = min(old.expires_at - old.created_at, longest_lifetime(TokenPurpose.API))
        new, text = issue_token(
            actor,
            old.user,
            name=old.name,
            lifetime=lifetime,
            scope=parse_scope(old.scope),
            session=old.session,
        )
        old.replaced_by = new
        old.expires_at = min(old.expires_at, timezone.now() + overlap)
        record_update(old, ["replaced_by", "expires_at"])
        detail = {"key_id": old.key_id, "replaced_by": new.key_id, "ends_at": old.expires_at.isoformat()}
        record(actor, "rotate", "tokens", old, detail=detail)
    return new, text


def revoke_token(actor: Actor, token: ApiToken, *, expected_version: int | None = None) -> None:
    """Ends a token for good; an already ended one stays as it is. Raises StaleVersion."""
    if token.revoked_at is not None:
        return
    token.revoked_at = timezone.now()
    with transaction.atomic():
        record_update(token, ["revoked_at"], expected_version=expected_version)
        record(actor, "delete", "tokens", token, detail={"key_id": token.key_id})


def authenticate_token(text: str) -> Actor | None:
    """The actor whose live token this is, with the token's scope; None for everything else.

    For the hub's own API: a kubeconfig's token opens clusters and nothing else (SEC-17).
    """
    offered = parse_token(text)
    if offered is None:
        return None
    now = timezone.now()
    live = ApiToken.objects.live(now).exclude(purpose=TokenPurpose.KUBECONFIG)
    token = live.select_related("user").filter(key_id=offered.key_id).first()
    if not holds_secret(token, offered):
        return None
    if token.last_used_at is None or token.last_used_at < now - LAST_USED_INTERVAL:
        mark_used([token.pk], now)
    return actor_of(token.user, token)


def mark_used(token_ids: Iterable[UUID], at: datetime.datetime) -> None:
    """Notes that tokens were in use, at most once in five minutes each; the logins that they came of are in use as well.

    An observation and no change of the token: no new version, no hint to listeners.
    """
    stale = ApiToken.objects.unused_since(at - LAST_USED_INTERVAL).filter(pk__in=list(token_ids))
    Session.objects.filter(tokens__in=stale, ended_at=None, last_seen_at__lt=at).update(last_seen_at=at)
    stale.update(last_used_at=at)


def _build_token(
    user: User,
    name: str,
    scope: TokenScope,
    purpose: TokenPurpose,
    session: Session | None,
    lifetime: datetime.timedelta,
) -> tuple[ApiToken, TokenText]:
    text = generate_token()
    pepper_id, secret_hash = keyed_hash(text)
    expires_at = timezone.now() + lifetime
    token = ApiToken(
        key_id=text.key_id,
        secret_hash=secret_hash,
        pepper_id=pepper_id,
        user=user,
        name=name,
        purpose=purpose,
        scope=scope_to_json(scope),
        session=session,
        expires_at=min(expires_at, session.expires_at) if session is not None else expires_at,
    )
    return token, text


def _login_of(actor: Actor, user: User) -> Session | None:
    """The user's login that the actor's token came of, if any."""
    if actor.token_id is None:
        return None
    return Session.objects.filter(tokens=actor.token_id, user=user).first()


def _check_rotatable(token: ApiToken) -> None:
    if token.purpose != TokenPurpose.API:
        raise HubError("token.not_rotatable", purpose=token.purpose)
    if token.replaced_by_id is not None:
        raise HubError("token.rotated", replaced_by=str(token.replaced_by_id))
    if not ApiToken.objects.live().filter(pk=token.pk).exists():
        raise HubError("token.ended")
