"""Login links: the way in when no other is left, made on the server's own shell (``manage.py login_link``).

Good once, for fifteen minutes, for one user, and whatever the settings say about local logins; no second factor is asked
for, because whoever has the server's shell has everything. Making and using one is in the audit trail.
"""

import datetime
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_insert
from hub.core.errors import HubError, define

from . import login_limits
from .keyed_hashes import keyed_hash, possible_hashes
from .login_limits import Secret
from .models import LoginLink, LoginMethod, Session, User, UserKind
from .sessions import start_session
from .token_format import LOGIN_LINK, generate_token, parse_token

LIFETIME = datetime.timedelta(minutes=15)

define("login_link.invalid", 404, "The link is wrong, was used before, or is too old")
define("login_link.user_unfit", 409, "This user cannot log in by a link")


@dataclass(frozen=True, slots=True)
class LinkedLogin:
    """What a link has opened; ``cookie`` is the text of the session."""

    user: User
    session: Session
    cookie: str


def make_login_link(actor: Actor, user: User) -> str:
    """The text of a new link. Raises HubError ``login_link.user_unfit`` for who cannot log in anyway."""
    if not user.is_active or user.kind != UserKind.PERSON:
        raise HubError("login_link.user_unfit")
    text = generate_token(LOGIN_LINK)
    pepper_id, secret_hash = keyed_hash(text)
    link = LoginLink(secret_hash=secret_hash, pepper_id=pepper_id, user=user, expires_at=timezone.now() + LIFETIME)
    with transaction.atomic():
        record_insert(link)
        record(actor, "create", "login-links", link, object_name=user.username, detail={"user": str(user.pk)})
    return text.render()


def find_login_link(text: str, *, peer: str) -> LoginLink:
    """The link that is still good, with its user. Raises HubError ``login_link.invalid`` or ``login.throttled``."""
    login_limits.count_attempt(peer, peer, Secret.LINK)  # whose link it is, is not known yet: peers alone are braked
    offered = parse_token(text, LOGIN_LINK)
    if offered is None:
        raise HubError("login_link.invalid")
    good = LoginLink.objects.filter(used_at__isnull=True, expires_at__gt=timezone.now(), user__is_active=True)
    link = good.select_related("user").filter(secret_hash__in=possible_hashes(offered)).first()
    if link is None:
        raise HubError("login_link.invalid")
    login_limits.forgive(peer, peer, Secret.LINK)
    return link


def use_login_link(text: str, *, peer: str, user_agent: str) -> LinkedLogin:
    """Logs the link's user in; the link is worth nothing afterwards. Raises as ``find_login_link``."""
    link = find_login_link(text, peer=peer)
    with transaction.atomic():
        # Of two requests with the same link one gets in: the second waits for this row, and then finds it used.
        if not LoginLink.objects.filter(pk=link.pk, used_at__isnull=True).update(used_at=timezone.now()):
            raise HubError("login_link.invalid")
        session, cookie = start_session(link.user, method=LoginMethod.LINK, peer=peer, user_agent=user_agent)
    return LinkedLogin(link.user, session, cookie)
