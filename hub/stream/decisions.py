"""Who asks for what, and whether he may: a pure function of the request's head and the rights known now."""

import datetime
import re
from dataclasses import dataclass
from uuid import UUID

from hub.access.snapshot import Principal, Snapshot, authenticate, authenticate_session, groups_for
from hub.core.errors import HubError
from hub.identity.sessions import CSRF_HEADER, check_csrf
from hub.identity.token_format import API_TOKEN, SESSION, parse_token
from kube.relay.attributes import AmbiguousPath, RequestAttributes, read_attributes
from kube.relay.heads import RequestHead

from .answers import Refusal
from .page_requests import check_page, names_own_origin, read_cookie
from .token_verbs import scope_leaves_out

_PREFIX = re.compile(r"/k8s/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)?\Z")
# URLs end in logs, histories and referers (SEC-11); what begins with pdk_ or pds_ is a secret of ours under any name.
_TOKEN_IN_QUERY = re.compile(r"(?:^|&)(?:access_token|token|authorization)=|pd[ks]_", re.IGNORECASE)
_TOKEN_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."  # noqa: S105  (how it begins, not one)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says by itself: where it goes and by which token, or by which session's cookie.

    ``target`` is what the member gets; ``opens_session``: a channel into a workload or a machine.
    """

    cluster_id: UUID
    target: str
    attributes: RequestAttributes
    token: str
    cookie: str
    opens_session: bool

    @property
    def changes(self) -> bool:
        """Whether it does more than read."""
        return self.opens_session or not self.attributes.reads

    @property
    def key_id(self) -> str | None:
        """The part of token or cookie that names it; None: it is neither."""
        offered = parse_token(self.cookie, SESSION) if self.cookie else parse_token(self.token, API_TOKEN)
        return offered.key_id if offered else None


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in: who asks, as which groups, and whose the cluster is."""

    ask: Ask
    principal: Principal
    key_id: str
    groups: tuple[str, ...]
    tenant_id: UUID | None
    project_id: UUID | None


class NotLetIn(Refusal):
    """A refusal by the rights known now; they may be a second old. ``principal`` is who was refused, when that is known."""

    def __init__(self, code: str, message: str, principal: Principal | None = None) -> None:
        super().__init__(code, message)
        self.principal = principal


def read_ask(head: RequestHead) -> Ask:
    """Raises Refusal for what nobody may ask in this way."""
    match = _PREFIX.match(head.path)
    if match is None:
        raise Refusal("object.not_found", "The path is /k8s/clusters/<cluster id>/….")
    if _TOKEN_IN_QUERY.search(head.query):
        raise Refusal("request.token_in_query", "A token in the query is not accepted: send it as a header.")
    if any(_TOKEN_SUBPROTOCOL in value for value in head.get_all("sec-websocket-protocol")):
        raise Refusal("request.token_in_subprotocol", "A token in a subprotocol is not accepted: send it as a header.")
    if any(name.lower().startswith("impersonate-") for name, _ in head.headers):
        # Passed over in silence, --as would answer for, and act as, somebody else than was asked for.
        raise Refusal("request.impersonates", "The hub acts as the token's owner only: leave out --as and its like.")
    if head.upgrade is not None and not names_own_origin(head):
        raise Refusal("request.origin_foreign", "A page of another origin may not open a session.")
    path = match.group(2) or "/"
    try:
        attributes = read_attributes(head.method, path, head.query)
    except AmbiguousPath as error:
        raise Refusal("request.path_ambiguous", str(error)) from error
    # A watch, or any other read, may come over a WebSocket too; what a channel of an unknown kind carries nobody knows.
    opens_session = attributes.connects or (head.upgrade is not None and attributes.verb != "watch")
    target = path + (f"?{head.query}" if "?" in head.target else "")
    ask = Ask(UUID(match.group(1)), target, attributes, _bearer(head), read_cookie(head), opens_session)
    if ask.cookie:
        check_page(head, changes=ask.changes)
        if ask.changes and head.upgrade is None:  # a page cannot give a socket a header; its Origin has been looked at
            _check_csrf(head, ask.cookie)
    return ask


def decide(snapshot: Snapshot | None, ask: Ask, now: datetime.datetime) -> Call:
    """Raises NotLetIn, and Refusal when nothing can be decided now."""
    if snapshot is None:
        raise Refusal("hub.unavailable", "The hub cannot confirm rights now; try again.", retry_after=2)
    key_id = ask.key_id
    principal = _authenticate(snapshot, ask, now)
    if key_id is None or principal is None:
        raise NotLetIn("request.unauthenticated", "The token or session is missing or not valid.")
    groups = groups_for(snapshot, principal, ask.cluster_id, now)
    if not groups:  # the same answer for a foreign cluster and for none (SEC-40)
        raise NotLetIn("object.not_found", "There is no such cluster, or you may not reach it.", principal)
    if principal.scope.read_only and ask.changes:
        raise NotLetIn("request.denied", "This token only reads.", principal)
    left_out = scope_leaves_out(principal.scope, ask.attributes, opens_session=ask.opens_session)
    if left_out is not None:
        raise NotLetIn("request.denied", f"The token's scope leaves out {left_out}.", principal)
    cluster = snapshot.clusters[ask.cluster_id]
    return Call(ask, principal, key_id, tuple(groups), cluster.tenant_id, cluster.project_id)


def still_allowed(snapshot: Snapshot | None, call: Call, now: datetime.datetime) -> bool:
    """What was let in with these groups stays while the token or session lives and none of the groups is lost."""
    if snapshot is None or call.principal.expires_at <= now:
        return False
    if call.key_id not in (snapshot.sessions if call.ask.cookie else snapshot.tokens):
        return False
    return set(call.groups) <= set(groups_for(snapshot, call.principal, call.ask.cluster_id, now))


def _authenticate(snapshot: Snapshot, ask: Ask, now: datetime.datetime) -> Principal | None:
    if ask.cookie:
        return authenticate_session(snapshot, ask.cookie, now)
    return authenticate(snapshot, ask.token, now)


def _check_csrf(head: RequestHead, cookie: str) -> None:
    offered = head.get_all(CSRF_HEADER.lower())
    try:
        check_csrf(cookie, offered[0] if len(offered) == 1 else "")
    except HubError as error:
        raise Refusal(error.code, f"With a session's cookie, this needs the header {CSRF_HEADER}.") from error


def _bearer(head: RequestHead) -> str:
    offered = head.get_all("authorization")
    scheme, _, token = offered[0].partition(" ") if len(offered) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""
