"""Logging in: whose name and password these are, and the record that somebody has come in or was kept out.

What a login opens is elsewhere: a browser's session in ``sessions``, one request with a password in ``hub.api``.
"""

from django.db import transaction
from django.utils import timezone

from hub.audit.services import record
from hub.audit.strangers import record_denied_login
from hub.core.environment import environment
from hub.core.errors import HubError, define

from . import login_limits
from .actors import actor_of
from .models import LoginMethod, Session, User
from .passwords import is_password

define("login.local_hidden", 403, "Users of this hub log in by an identity provider")


def authenticate_password(username: str, password: str, *, peer: str) -> User | None:
    """The user whose name and password these are, else None; ``peer`` is the client's address.

    The login is not complete yet: a second factor may be missing; see ``complete_login``. Takes the same time for a name
    that does not exist. Raises HubError ``login.throttled`` (see ``login_limits``) or ``login.local_hidden``. Runs outside
    any transaction, so that a failure is counted whatever happens to the request.
    """
    if environment().local_login == "hidden":
        raise HubError("login.local_hidden")
    login_limits.count_attempt(username, peer)
    # A text with NUL is nobody's name, and the database would not even be asked.
    user = User.objects.filter(username=username).first() if "\x00" not in username else None
    right = is_password(password, user.password_hash if user else None)
    if user is None:
        record_denied_login(None, {"method": LoginMethod.PASSWORD.value})  # what was typed as a name may be a password
        return None
    if not right or not user.is_active:
        record_failure(user, LoginMethod.PASSWORD)
        return None
    login_limits.forgive(username, peer)
    return user


def complete_login(user: User, method: LoginMethod, *, session: Session | None = None, provider: str = "") -> None:
    """Notes that the user has come in, and when; ``provider`` is the name of the one that vouches for him."""
    detail = {"method": method.value, **({"provider": provider} if provider else {})}
    with transaction.atomic():
        # An observation, as the last use of a token is: no new version, no hint to listeners.
        User.objects.filter(pk=user.pk).update(last_login_at=timezone.now())
        actor = actor_of(user, session=session)
        record(actor, "login", "users", user, object_name=user.username, detail=detail)


def record_failure(user: User, method: LoginMethod, reason: str = "") -> None:
    """Notes that somebody tried to come in as this user and was kept out."""
    detail = {"method": method.value, **({"reason": reason} if reason else {})}
    record_denied_login(actor_of(user), detail)
