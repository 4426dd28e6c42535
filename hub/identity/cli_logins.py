"""Logins of ``paddock-login``: begun by a program, said yes to in a browser, and exchanged once for a short token.

Two ways. With a device code (RFC 8628) the program polls, and its user types the short code that it shows into a page of
the hub. With a redirect to loopback (RFC 8252) the browser carries a code back to the program, who proves with PKCE that it
is the one that asked. Either way the page shows who asks before anybody says yes, and the token ends with the session
that did (SEC-54). Beginning is open to everybody, so it is limited by peer and in sum; typing codes is limited like
passwords (SEC-56).
"""

import base64
import datetime
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from hub.audit.services import record
from hub.core.access import Actor, TokenScope
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define

from . import login_limits
from .actors import actor_of
from .keyed_hashes import keyed_hash, possible_hashes
from .models import ApiToken, CliLogin, CliLoginState, Session, TokenPurpose
from .sessions import idle_limit
from .token_format import CLI_LOGIN, TokenText, generate_token, parse_token
from .token_scope import parse_scope, scope_to_json
from .tokens import TOKEN_NAME_LIMIT, issue_token, longest_lifetime, revoke_token

OPEN_FOR = datetime.timedelta(minutes=10)
CODE_GOOD_FOR = datetime.timedelta(minutes=1)
POLL_SECONDS = 5
# What a client that waits as told may seem to be early by.
_POLL_LEAST = datetime.timedelta(seconds=POLL_SECONDS - 1)
LIMIT_OF_PEER = 30
LIMIT_IN_SUM = 2000
HOST_LIMIT = 253
# Consonants that are not taken for another letter or for a digit, and make no words: 20**8 codes.
_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_USER_CODE_LENGTH = 8
_BEGIN_LOCK = 0x7061_6464_6F63_6B02

_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}/[A-Za-z0-9_/-]{0,100}", re.ASCII)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_STATE = re.compile(r"[A-Za-z0-9_-]{16,200}", re.ASCII)

define("cli_login.throttled", 429, "Too many logins have been begun; wait before beginning another")
define("cli_login.request_invalid", 400, "A login cannot be begun like this")
define("cli_login.authorization_pending", 400, "The login has not been confirmed yet; ask again after the interval")
define("cli_login.slow_down", 400, "Asked too often; wait five seconds longer between two questions")
define("cli_login.denied", 400, "The login was refused")
define("cli_login.expired", 400, "The login was not confirmed in time; begin again")
define("cli_login.unknown", 400, "There is no such login, or it is over")
define("cli_login.user_code_unknown", 404, "No login waits for this code")


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What a program asks for. ``host`` is what it calls its machine; ``peer`` is the address that the hub sees."""

    host: str
    peer: str
    lifetime: datetime.timedelta | None = None
    scope: TokenScope | None = None


def begin_device_login(request: LoginRequest) -> tuple[CliLogin, str]:
    """A login whose program polls; and the device code, which is nowhere else. The row's ``user_code`` is for the user.

    Raises HubError ``cli_login.throttled``, ``cli_login.request_invalid`` or ``token.lifetime_invalid``.
    """
    text = generate_token(CLI_LOGIN)
    login = _build(request, text)
    with transaction.atomic():
        _take_place(request.peer)
        login.user_code = _free_user_code()
        record_insert(login)
    return login, text.render()


def begin_browser_login(request: LoginRequest, *, redirect_uri: str, code_challenge: str, state: str) -> CliLogin:
    """A login whose code the browser will carry to ``redirect_uri``, an address of loopback. PKCE by S256.

    Raises as ``begin_device_login``.
    """
    for name, value, form in (
        ("redirect_uri", redirect_uri, _LOOPBACK),
        ("code_challenge", code_challenge, _CHALLENGE),
        ("state", state, _STATE),
    ):
        if not form.fullmatch(value):
            raise HubError("cli_login.request_invalid", pointer=f"/{name}")
    login = _build(request, generate_token(CLI_LOGIN))  # nobody knows this code; approval makes another
    login.redirect_uri, login.code_challenge, login.client_state = redirect_uri, code_challenge, state
    with transaction.atomic():
        _take_place(request.peer)
        record_insert(login)
    return login


def find_typed_login(session: Session, typed: str, peer: str) -> CliLogin:
    """The waiting login whose user code this session's user has typed, spaces and case aside.

    Each attempt counts until it was right. Raises HubError ``cli_login.user_code_unknown`` or ``login.throttled``. Runs
    outside any transaction.
    """
    account = session.user.username
    login_limits.count_attempt(account, peer, login_limits.Secret.USER_CODE)
    code = "".join(letter for letter in typed.upper() if letter in _USER_CODE_LETTERS)
    login = _waiting().filter(user_code=code).first() if len(code) == _USER_CODE_LENGTH else None
    if login is None:
        raise HubError("cli_login.user_code_unknown", pointer="/user_code")
    login_limits.forgive(account, peer, login_limits.Secret.USER_CODE)
    return login


def find_browser_login(id: UUID) -> CliLogin | None:
    """The waiting login of a browser on the machine that asks; one by device code has to be typed."""
    return _waiting().filter(pk=id, user_code__isnull=True).first()


def approve(actor: Actor, session: Session, login: CliLogin) -> str | None:
    """Says yes for the session's user: where the browser goes now, None when the program polls.

    Raises HubError ``cli_login.unknown`` when somebody has answered already, or it is too late.
    """
    with transaction.atomic():
        login = _still_waiting(login)
        login.state, login.session = CliLoginState.APPROVED, session
        fields = ["state", "session"]
        target = None
        if login.redirect_uri:
            text = generate_token(CLI_LOGIN)
            login.pepper_id, login.code_hash = keyed_hash(text)
            login.expires_at = timezone.now() + CODE_GOOD_FOR
            fields += ["pepper_id", "code_hash", "expires_at"]
            target = _back_to(login, code=text.render())
        record_update(login, fields)
        record(actor, "approve", "cli-logins", login, object_name=login.host, detail=_detail(login))
    return target


def deny(actor: Actor, login: CliLogin) -> str | None:
    """Says no: where the browser goes now, None when the program polls. Raises HubError ``cli_login.unknown``."""
    with transaction.atomic():
        login = _still_waiting(login)
        login.state = CliLoginState.DENIED
        record_update(login, ["state"])
        record(actor, "deny", "cli-logins", login, object_name=login.host, detail=_detail(login))
    return _back_to(login, error="access_denied") if login.redirect_uri else None


def exchange_device_code(text: str) -> tuple[ApiToken, str]:
    """The token of a login that was said yes to; one poll of several gets it.

    Raises HubError ``cli_login.authorization_pending``, ``slow_down``, ``denied``, ``expired`` or ``unknown``.
    """
    with transaction.atomic():
        answer = _poll(text)
    if isinstance(answer, HubError):
        raise answer  # outside, so that the time of the poll is kept
    return answer


def exchange_code(text: str, code_verifier: str) -> tuple[ApiToken, str]:
    """The token for a code that the browser brought. A code that comes twice ends what it gave the first time.

    Raises HubError ``cli_login.denied``, ``expired`` or ``unknown``.
    """
    with transaction.atomic():
        answer = _redeem(text, code_verifier)
    if isinstance(answer, HubError):
        raise answer  # outside, so that the token of a replayed code stays revoked
    return answer


def delete_old_cli_logins(age: datetime.timedelta, *, batch: int = 5000) -> int:
    """Retention: deletes one batch of logins that were over ``age`` ago; how many."""
    old = CliLogin.objects.filter(expires_at__lt=timezone.now() - age).order_by("expires_at").values("pk")[:batch]
    deleted, _ = CliLogin.objects.filter(pk__in=old).delete()
    return deleted


def _build(request: LoginRequest, text: TokenText) -> CliLogin:
    longest = longest_lifetime(TokenPurpose.LOGIN)
    lifetime = request.lifetime if request.lifetime is not None else longest
    if not datetime.timedelta(0) < lifetime <= longest:
        maximum = int(longest.total_seconds())
        raise HubError("token.lifetime_invalid", pointer="/expires_in_seconds", maximum_seconds=maximum)
    if len(request.host) > HOST_LIMIT or not (request.host.isascii() and request.host.isprintable()):
        raise HubError("cli_login.request_invalid", pointer="/host", limit=HOST_LIMIT)
    pepper_id, code_hash = keyed_hash(text)
    return CliLogin(
        code_hash=code_hash,
        pepper_id=pepper_id,
        scope=scope_to_json(request.scope or TokenScope()),
        lifetime_seconds=int(lifetime.total_seconds()),
        host=request.host,
        peer=request.peer,
        expires_at=timezone.now() + OPEN_FOR,
    )


def _take_place(peer: str) -> None:
    """Raises HubError ``cli_login.throttled``. Beginners wait for each other, so that the limits hold."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_BEGIN_LOCK])
    recent = CliLogin.objects.filter(created_at__gt=timezone.now() - OPEN_FOR)
    if recent.filter(peer=peer).count() >= LIMIT_OF_PEER or recent.count() >= LIMIT_IN_SUM:
        raise HubError("cli_login.throttled", retry_after=60)


def _free_user_code() -> str:
    while True:
        code = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(_USER_CODE_LENGTH))
        if not CliLogin.objects.filter(user_code=code).exists():
            return code


def _waiting() -> QuerySet[CliLogin]:
    return CliLogin.objects.filter(state=CliLoginState.PENDING, expires_at__gt=timezone.now())


def _still_waiting(login: CliLogin) -> CliLogin:
    found = _waiting().select_for_update().filter(pk=login.pk).first()
    if found is None:
        raise HubError("cli_login.unknown")
    return found


def _poll(text: str) -> tuple[ApiToken, str] | HubError:
    login = _find_by_code(text)
    if login is None or login.redirect_uri:
        return HubError("cli_login.unknown")
    now = timezone.now()
    if login.state == CliLoginState.PENDING and login.expires_at > now:
        early = login.last_polled_at is not None and now - login.last_polled_at < _POLL_LEAST
        CliLogin.objects.filter(pk=login.pk).update(last_polled_at=now)  # an observation, no change of the login
        return HubError("cli_login.slow_down" if early else "cli_login.authorization_pending", interval=POLL_SECONDS)
    return _over(login, now) or _issue(login)


def _redeem(text: str, code_verifier: str) -> tuple[ApiToken, str] | HubError:
    login = _find_by_code(text)
    if login is None or not login.redirect_uri or not _proves(login, code_verifier):
        return HubError("cli_login.unknown")
    if login.state == CliLoginState.CONSUMED:
        if login.token is not None and login.session is not None:
            revoke_token(actor_of(login.session.user, session=login.session), login.token)
        return HubError("cli_login.unknown")
    return _over(login, timezone.now()) or _issue(login)


def _over(login: CliLogin, now: datetime.datetime) -> HubError | None:
    """Why this login gives no token, if it gives none."""
    if login.state == CliLoginState.DENIED:
        return HubError("cli_login.denied")
    if login.state == CliLoginState.CONSUMED:
        return HubError("cli_login.unknown")
    if login.expires_at <= now or login.state != CliLoginState.APPROVED:
        return HubError("cli_login.expired")
    if login.session is None or not Session.objects.live(idle_limit(), now).filter(pk=login.session.pk).exists():
        return HubError("cli_login.denied")  # whoever said yes has logged out since
    return None


def _issue(login: CliLogin) -> tuple[ApiToken, str]:
    session = login.session
    assert session is not None
    lifetime = min(datetime.timedelta(seconds=login.lifetime_seconds), longest_lifetime(TokenPurpose.LOGIN))
    token, text = issue_token(
        actor_of(session.user, session=session),
        session.user,
        name=f"paddock-login on {login.host or login.peer or 'a machine'}"[:TOKEN_NAME_LIMIT],
        lifetime=lifetime,
        scope=parse_scope(login.scope),
        purpose=TokenPurpose.LOGIN,
        session=session,
    )
    login.state, login.token = CliLoginState.CONSUMED, token
    record_update(login, ["state", "token"])
    return token, text


def _find_by_code(text: str) -> CliLogin | None:
    """The login of this code, locked: of two that come at once the second sees what the first has done."""
    offered = parse_token(text, CLI_LOGIN)
    if offered is None:
        return None
    rows = CliLogin.objects.select_for_update(of=("self",)).select_related("session__user", "token")
    return rows.filter(code_hash__in=possible_hashes(offered)).first()


def _proves(login: CliLogin, code_verifier: str) -> bool:
    if not _VERIFIER.fullmatch(code_verifier):
        return False
    digest = hashlib.sha256(code_verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return hmac.compare_digest(challenge, login.code_challenge)


def _back_to(login: CliLogin, **parameters: str) -> str:
    return f"{login.redirect_uri}?{urlencode({**parameters, 'state': login.client_state})}"


def _detail(login: CliLogin) -> dict[str, str]:
    return {"peer": login.peer, "flow": "browser" if login.redirect_uri else "device"}
