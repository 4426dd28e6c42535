"""API tokens: issued with their text shown once, recognised, and ended; each write with its audit event.

Whether an actor may do this is asked before, of ``hub.core.access``.
"""

import datetime
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hub.audit.services import record
from hub.core.access import Actor, TokenScope
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.keys import key_ring

from .models import ApiToken, User
from .services import actor_of
from .token_format import generate_token, parse_token
from .token_scope import is_within, scope_to_json

DEFAULT_LIFETIME = datetime.timedelta(days=90)
MAXIMUM_LIFETIME = datetime.timedelta(days=366)
LAST_USED_INTERVAL = datetime.timedelta(minutes=5)
TOKEN_NAME_LIMIT = 100

define("token.name_invalid", 400, "The token's name is not valid")
define("token.lifetime_invalid", 400, "The token's lifetime is not valid")


def issue_token(
    actor: Actor,
    user: User,
    *,
    name: str,
    lifetime: datetime.timedelta = DEFAULT_LIFETIME,
    scope: TokenScope | None = None,
) -> tuple[ApiToken, str]:
    """A new token of ``user`` and its text, which is nowhere else and cannot be had again.

    An actor who himself came with a token can issue only what is within that token's scope. Raises HubError
    ``token.name_invalid``, ``token.lifetime_invalid`` or ``token.scope_too_wide``.
    """
    scope = scope or TokenScope()
    if not name.strip() or len(name) > TOKEN_NAME_LIMIT:
        raise HubError("token.name_invalid", pointer="/name", limit=TOKEN_NAME_LIMIT)
    if not datetime.timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
        maximum = int(MAXIMUM_LIFETIME.total_seconds())
        raise HubError("token.lifetime_invalid", pointer="/expires_in_seconds", maximum_seconds=maximum)
    if actor.token_scope is not None and not is_within(scope, actor.token_scope):
        raise HubError("token.scope_too_wide", pointer="/scope")
    text = generate_token()
    pepper_id, pepper = next(iter(key_ring().peppers.items()))
    token = ApiToken(
        key_id=text.key_id,
        secret_hash=text.hash(pepper),
        pepper_id=pepper_id,
        user=user,
        name=name.strip(),
        scope=scope_to_json(scope),
        expires_at=timezone.now() + lifetime,
    )
    with transaction.atomic():
        record_insert(token)
        record(actor, "create", "tokens", token, detail={"user": user.username, "key_id": token.key_id})
    return token, text.render()


def revoke_token(actor: Actor, token: ApiToken, *, expected_version: int | None = None) -> None:
    """Ends a token for good; an already ended one stays as it is. Raises StaleVersion."""
    if token.revoked_at is not None:
        return
    token.revoked_at = timezone.now()
    with transaction.atomic():
        record_update(token, ["revoked_at"], expected_version=expected_version)
        record(actor, "delete", "tokens", token, detail={"key_id": token.key_id})


def authenticate_token(text: str) -> Actor | None:
    """The actor whose live token this is, with the token's scope; None for everything else."""
    offered = parse_token(text)
    if offered is None:
        return None
    now = timezone.now()
    token = ApiToken.objects.live(now).select_related("user").filter(key_id=offered.key_id).first()
    pepper = key_ring().peppers.get(token.pepper_id) if token else None
    if token is None or pepper is None or not offered.matches(bytes(token.secret_hash), pepper):
        return None
    mark_used([token.pk], now)
    return actor_of(token.user, token)


def mark_used(token_ids: Iterable[UUID], at: datetime.datetime) -> None:
    """Notes that tokens were in use, at most once in five minutes each.

    An observation and no change of the token: no new version, no hint to listeners.
    """
    stale = ApiToken.objects.unused_since(at - LAST_USED_INTERVAL)
    stale.filter(pk__in=list(token_ids)).update(last_used_at=at)
