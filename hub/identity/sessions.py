"""Sessions: a browser's login, recognised by a cookie. Begun, recognised, ended; each end for a reason.

The cookie's secret is kept as a keyed hash, like a token's. A session ends at its absolute end, when it was idle for too
long, or when somebody ends it; then the tokens that were derived from it open nothing either, and the cookie is worth
nothing however often it is sent again (SEC-47). A cookie is sent by the browser whatever page asks for it, so a request
that changes something has to prove that it comes from a page of the hub: by a text that only such a page can read, and by
the headers in which browsers name the page that asks (SEC-71).
"""

import datetime
import hashlib
import hmac

from django.db import transaction
from django.utils import timezone

from hub.audit.services import record
from hub.core.access import SYSTEM, Actor
from hub.core.changes import record_insert, record_update
from hub.core.environment import environment
from hub.core.errors import HubError, define
from hub.core.keys import key_ring

from .actors import actor_of
from .keyed_hashes import holds_secret, keyed_hash
from .logins import complete_login
from .models import ExternalIdentity, LoginMethod, Session, User, UserKind
from .querysets import SessionQuerySet
from .token_format import SESSION, generate_token, parse_token

COOKIE = "__Host-paddock"
CSRF_HEADER = "X-CSRF-Token"
SEEN_INTERVAL = datetime.timedelta(seconds=60)
FRESH = datetime.timedelta(minutes=15)
KEPT_AFTER_END = datetime.timedelta(days=30)
USER_AGENT_LIMIT = 300

define("session.csrf", 403, "The request does not prove that it comes from a page of the hub")
define("request.origin_foreign", 403, "A page of another origin may not do this")


def start_session(
    user: User,
    *,
    identity: ExternalIdentity | None = None,
    method: LoginMethod | None = None,
    provider_session_id: str = "",
    id_token: str = "",
    peer: str,
    user_agent: str,
) -> tuple[Session, str]:
    """Logs the user in: a new session and the text of its cookie, which is nowhere else.

    Writes the audit event of the login (``complete_login``), so nobody else does. ``method`` follows from ``identity``
    unless it is a link. Raises HubError ``request.denied`` for who cannot log in: the disabled, and service accounts.
    """
    if not user.is_active or user.kind != UserKind.PERSON:
        raise HubError("request.denied")
    method = method or (LoginMethod.PROVIDER if identity else LoginMethod.PASSWORD)
    text = generate_token(SESSION)
    pepper_id, secret_hash = keyed_hash(text)
    now = timezone.now()
    session = Session(
        key_id=text.key_id,
        secret_hash=secret_hash,
        pepper_id=pepper_id,
        user=user,
        identity=identity,
        method=method,
        provider_session_id=provider_session_id,
        id_token=id_token,
        peer=peer,
        user_agent=user_agent[:USER_AGENT_LIMIT],
        last_seen_at=now,
        expires_at=now + datetime.timedelta(hours=environment().session_hours),
    )
    with transaction.atomic():
        record_insert(session)
        complete_login(user, method, session=session, provider=identity.provider.name if identity else "")
    return session, text.render()


def authenticate_session(text: str) -> tuple[Actor, Session] | None:
    """Whose live session this cookie is; None for everything else. A recognised session has been seen just now.

    ``session.user`` is loaded. Who must change his password is recognised too; what he may do meanwhile is the caller's
    to ask.
    """
    offered = parse_token(text, SESSION)
    if offered is None:
        return None
    now = timezone.now()
    live = Session.objects.live(idle_limit(), now).select_related("user", "identity__provider")
    session = live.filter(key_id=offered.key_id).first()
    if not holds_secret(session, offered):
        return None
    if session.last_seen_at <= now - SEEN_INTERVAL:
        # An observation and no change: no new version, no hint to listeners.
        Session.objects.filter(pk=session.pk, last_seen_at__lt=now).update(last_seen_at=now)
        session.last_seen_at = now
    return actor_of(session.user, session=session), session


def is_fresh(session: Session) -> bool:
    """Whether the login was just now, so that what it has shown need not be shown again."""
    return timezone.now() - session.created_at < FRESH


def end_session(actor: Actor, session: Session, reason: str) -> None:
    """Ends a session for good, with everything derived from it; an ended one stays as it is."""
    end_sessions(actor, Session.objects.filter(pk=session.pk), reason)


def end_sessions(actor: Actor, sessions: SessionQuerySet, reason: str) -> int:
    """Ends those of the sessions that have not ended yet, each with its audit event; how many."""
    with transaction.atomic():
        open_ones = list(sessions.filter(ended_at__isnull=True).select_for_update(of=("self",)).order_by("pk"))
        for session in open_ones:
            session.ended_at, session.end_reason = timezone.now(), reason
            record_update(session, ["ended_at", "end_reason"])
            record(actor, "delete", "sessions", session, detail={"user": str(session.user_id), "reason": reason})
    return len(open_ones)


def end_lapsed_sessions() -> int:
    """Ends what was idle for too long or has reached its absolute end; how many. For a periodic job.

    ``authenticate_session`` does not wait for it; whoever knows only ``ended_at`` and ``expires_at`` does (tokens derived
    from a session, and the stream server).
    """
    lapsed = Session.objects.lapsed(idle_limit()).values_list("pk", "expires_at")[:1000]
    now = timezone.now()
    expired = [pk for pk, expires_at in lapsed if expires_at <= now]
    idle = [pk for pk, expires_at in lapsed if expires_at > now]
    return end_sessions(SYSTEM, Session.objects.filter(pk__in=expired), "expired") + end_sessions(
        # Asked again under the lock: it may have been seen since.
        SYSTEM,
        Session.objects.lapsed(idle_limit()).filter(pk__in=idle),
        "idle",
    )


def delete_ended_sessions(age: datetime.timedelta = KEPT_AFTER_END, *, batch: int = 1000) -> int:
    """Retention: deletes one batch of sessions that ended ``age`` ago, with the dead tokens derived from them; how many."""
    old = Session.objects.filter(ended_at__lt=timezone.now() - age).order_by("ended_at").values("pk")[:batch]
    _, deleted = Session.objects.filter(pk__in=old).delete()
    return deleted.get(Session._meta.label, 0)


def idle_limit() -> datetime.timedelta:
    """How long a session may go unused."""
    return datetime.timedelta(minutes=environment().session_idle_minutes)


def csrf_token(session_text: str) -> str:
    """What a page of this session sends with each change: it follows from the cookie and does not tell it."""
    return hmac.new(key_ring().signing, b"csrf\0" + session_text.encode(), hashlib.sha256).hexdigest()


def check_csrf(session_text: str, offered: str) -> None:
    """Raises HubError ``session.csrf`` unless ``offered`` is this session's token."""
    if not hmac.compare_digest(csrf_token(session_text).encode(), offered.encode()):
        raise HubError("session.csrf", header=CSRF_HEADER)


def check_origin(origin: str | None, fetch_site: str | None, host: str) -> None:
    """Raises HubError ``request.origin_foreign`` when the browser says that a page of another origin asks.

    ``origin`` and ``fetch_site`` are the headers Origin and Sec-Fetch-Site, None when they were not sent; ``host`` is the
    name and port by which the hub was asked.
    """
    if origin is not None and origin.lower() != f"https://{host.lower()}":
        raise HubError("request.origin_foreign")
    if fetch_site is not None and fetch_site.lower() not in ("same-origin", "none"):
        raise HubError("request.origin_foreign")
