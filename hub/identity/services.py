"""Writes of identity: users and passwords, each with its audit event in the same transaction; tokens are ``tokens``'.

Whether an actor may do this is asked before, of ``hub.core.access``; who becomes an administrator is ``hub.access``'s.
"""

import re

from django.db import IntegrityError, transaction

from hub.audit.models import Outcome
from hub.audit.services import record
from hub.core.access import Actor, TokenScope
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define

from . import login_limits
from .models import ApiToken, User
from .passwords import check_fitness, hash_password, is_password
from .token_scope import is_within, parse_scope

# Plain ASCII, because the name travels as a header to member clusters.
_USERNAME = re.compile(r"[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?", re.ASCII)

define("user.name_invalid", 400, "The user name is not valid")
define("user.name_taken", 409, "There is a user of this name already")


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
    user.display_name = display_name
    with transaction.atomic():
        record_update(user, ["display_name"], expected_version=expected_version)
        record(actor, "update", "users", user, object_name=user.username, detail={"fields": ["display_name"]})


def set_password(actor: Actor, user: User, password: str, *, expected_version: int | None = None) -> None:
    """Gives the user a new password; one that somebody else has set must be changed at the next login.

    A password gives all that its user may do, so an actor who came with a narrowed token sets none. Raises HubError
    ``token.scope_too_wide`` or ``password.unfit``, StaleVersion.
    """
    if actor.token_scope is not None and not is_within(TokenScope(), actor.token_scope):
        raise HubError("token.scope_too_wide", pointer="/password")
    check_fitness(password, user.username)
    user.password_hash = hash_password(password)
    user.must_change_password = actor.id != user.pk
    with transaction.atomic():
        record_update(user, ["password_hash", "must_change_password"], expected_version=expected_version)
        record(actor, "update", "users", user, object_name=user.username, detail={"fields": ["password"]})


def authenticate_password(username: str, password: str, *, peer: str) -> User | None:
    """The user whose name and password these are, else None; ``peer`` is the client's address.

    Takes the same time for a name that does not exist. Raises HubError ``login.throttled`` (see ``login_limits``). Runs
    outside any transaction, so that a failure is counted whatever happens to the request.
    """
    login_limits.count_attempt(username, peer)
    user = User.objects.filter(username=username).first()
    right = is_password(password, user.password_hash if user else None)
    if user is None:
        return None  # without an audit event: what was typed as a name may be a password
    accepted = right and user.is_active
    outcome = Outcome.SUCCEEDED if accepted else Outcome.DENIED
    record(actor_of(user), "login", "users", user, object_name=user.username, outcome=outcome)
    if not accepted:
        return None
    login_limits.forgive(username, peer)
    return user


def actor_of(user: User, token: ApiToken | None = None) -> Actor:
    """The user as an actor, narrowed by the token he came with."""
    return Actor(
        kind="user",
        id=user.pk,
        name=user.username,
        token_id=token.pk if token else None,
        token_scope=parse_scope(token.scope) if token else None,
    )
