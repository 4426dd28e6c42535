"""Writes of identity: users and passwords, each with its audit event in the same transaction.

Tokens, sessions, second factors and logins have modules of their own. Whether an actor may do this is asked before, of
``hub.core.access``; who becomes an administrator is ``hub.access``'s.
"""

import re

from django.db import IntegrityError, transaction

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor, TokenScope
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define

from . import login_limits
from .models import ApiToken, Session, User, UserKind
from .passwords import check_fitness, hash_password, is_password
from .sessions import end_sessions
from .token_scope import is_within
from .tokens import revoke_token

# Plain ASCII, because the name travels as a header to member clusters.
_USERNAME = re.compile(r"[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?", re.ASCII)

define("user.name_invalid", 400, "The user name is not valid")
define("user.name_taken", 409, "There is a user of this name already")
define("password.wrong", 403, "The current password is not this one")
define("password.unchanged", 400, "The new password is the old one")
define("password.none", 409, "This user has no password in this hub")


def create_user(
    actor: Actor,
    username: str,
    *,
    password: str | None = None,
    display_name: str = "",
    must_change_password: bool = False,
) -> User:
    """A new local user; without a password he can use tokens only.

    Raises HubError ``user.name_invalid``, ``user.name_taken`` or ``password.unfit``.
    """
    if not _USERNAME.fullmatch(username):
        raise HubError("user.name_invalid", pointer="/username")
    if password is not None:
        check_fitness(password, username)
    user = User(
        username=username,
        display_name=display_name,
        password_hash=hash_password(password) if password is not None else "",
        must_change_password=must_change_password,
    )
    try:
        with transaction.atomic():
            record_insert(user)
            record(actor, "create", "users", user, object_name=username)
    except IntegrityError as error:
        raise HubError("user.name_taken", pointer="/username", username=username) from error
    return user


def set_display_name(actor: Actor, user: User, display_name: str, *, expected_version: int | None = None) -> None:
    """Changes the name that people read. Raises StaleVersion."""
    changes = diff({"display_name": user.display_name}, {"display_name": display_name})
    user.display_name = display_name
    with transaction.atomic():
        record_update(user, ["display_name"], expected_version=expected_version)
        record(actor, "update", "users", user, object_name=user.username, changes=changes)


def set_password(
    actor: Actor, user: User, password: str, *, expected_version: int | None = None, pointer: str = "/password"
) -> None:
    """Gives the user a new password; one that somebody else has set must be changed at the next login.

    Whoever knew the old one is out: all sessions end but the one by which the user himself changes it, and when somebody
    else sets it, all tokens too. A password gives all that its user may do, so an actor who came with a narrowed token sets
    none; nobody logs in as a service account, so it has none. Raises HubError ``token.scope_too_wide``, ``password.none`` or
    ``password.unfit``, StaleVersion.
    """
    if user.kind != UserKind.PERSON:
        raise HubError("password.none", pointer=pointer)
    if actor.token_scope is not None and not is_within(TokenScope(), actor.token_scope):
        raise HubError("token.scope_too_wide", pointer=pointer)
    check_fitness(password, user.username, pointer)
    by_himself = actor.id == user.pk
    changes = diff({"password": user.password_hash}, {"password": password})
    user.password_hash = hash_password(password)
    user.must_change_password = not by_himself
    with transaction.atomic():
        record_update(user, ["password_hash", "must_change_password"], expected_version=expected_version)
        record(actor, "update", "users", user, object_name=user.username, changes=changes)
        end_sessions(actor, Session.objects.filter(user=user).besides(actor.session_id), "password_changed")
        if not by_himself:
            end_tokens(actor, user)


def change_own_password(actor: Actor, user: User, current: str, new: str, *, peer: str) -> None:
    """The user changes his password, which he has to know (SEC-56: counted like a login).

    Raises HubError ``password.unchanged``, as ``check_own_password``, and as ``set_password``.
    """
    check_own_password(user, current, peer=peer)
    if new == current:
        raise HubError("password.unchanged", pointer="/new")
    set_password(actor, user, new, pointer="/new")


def check_own_password(user: User, current: str, *, peer: str) -> None:
    """Before what a found open browser must not do: whether the one who asks knows the password.

    Raises HubError ``password.none``, ``login.throttled`` or ``password.wrong``. Runs outside any transaction, as a login
    does.
    """
    if not user.password_hash:
        raise HubError("password.none")
    login_limits.count_attempt(user.username, peer)
    if not is_password(current, user.password_hash):
        raise HubError("password.wrong", pointer="/current")
    login_limits.forgive(user.username, peer)


def delete_user(actor: Actor, user: User, *, expected_version: int | None = None) -> None:
    """Removes the user with all by which he comes in; what he made stays. Raises StaleVersion."""
    with transaction.atomic():
        end_access(actor, user, "user_deleted")
        record(actor, "delete", "users", user, object_name=user.username)
        record_delete(user, expected_version=expected_version)


def end_access(actor: Actor, user: User, reason: str) -> None:
    """Logs the user out everywhere: his sessions and all his tokens end."""
    with transaction.atomic():
        end_sessions(actor, Session.objects.filter(user=user), reason)
        end_tokens(actor, user)


def end_tokens(actor: Actor, user: User) -> None:
    """Revokes all of the user's tokens."""
    with transaction.atomic():
        for token in ApiToken.objects.filter(user=user, revoked_at__isnull=True).select_for_update().order_by("pk"):
            revoke_token(actor, token)
