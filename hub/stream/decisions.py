"""Who asks for what, and whether he may: a pure function of the request's head and the rights known now."""

import datetime
import re
from dataclasses import dataclass
from uuid import UUID

from hub.access.snapshot import Principal, Snapshot, authenticate, groups_for
from hub.identity.token_format import parse_token
from kube.relay.attributes import AmbiguousPath, RequestAttributes, read_attributes
from kube.relay.heads import RequestHead

from .answers import Refusal
from .page_requests import names_own_origin

_PREFIX = re.compile(r"/k8s/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)?\Z")
# URLs end in logs, histories and referers (SEC-11); what begins with pdk_ is a token of ours under any name.
_TOKEN_IN_QUERY = re.compile(r"(?:^|&)(?:access_token|token|authorization)=|pdk_", re.IGNORECASE)
_TOKEN_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."  # noqa: S105  (how it begins, not one)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says by itself: where it goes and with which token. ``target`` is what the member gets."""

    cluster_id: UUID
    target: str
    attributes: RequestAttributes
    token: str
    opens_session: bool

    @property
    def changes(self) -> bool:
        """Whether it does more than read."""
        return self.opens_session or not self.attributes.reads


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
    return Ask(UUID(match.group(1)), target, attributes, _bearer(head), opens_session)


def decide(snapshot: Snapshot | None, ask: Ask, now: datetime.datetime) -> Call:
    """Raises NotLetIn, and Refusal when nothing can be decided now."""
    if snapshot is None:
        raise Refusal("hub.unavailable", "The hub cannot confirm rights now; try again.", retry_after=2)
    offered = parse_token(ask.token)
    principal = authenticate(snapshot, ask.token, now)
    if offered is None or principal is None:
        raise NotLetIn("request.unauthenticated", "The token is missing or not valid.")
    groups = groups_for(snapshot, principal, ask.cluster_id)
    if not groups:  # the same answer for a foreign cluster and for none (SEC-40)
        raise NotLetIn("object.not_found", "There is no such cluster, or you may not reach it.", principal)
    if principal.scope.read_only and ask.changes:
        raise NotLetIn("request.denied", "This token only reads.", principal)
    cluster = snapshot.clusters[ask.cluster_id]
    return Call(ask, principal, offered.key_id, tuple(groups), cluster.tenant_id, cluster.project_id)


def still_allowed(snapshot: Snapshot | None, call: Call, now: datetime.datetime) -> bool:
    """What was let in with these groups stays while the token lives and none of the groups is lost."""
    if snapshot is None or call.key_id not in snapshot.tokens or call.principal.expires_at <= now:
        return False
    return set(call.groups) <= set(groups_for(snapshot, call.principal, call.ask.cluster_id))


def _bearer(head: RequestHead) -> str:
    offered = head.get_all("authorization")
    scheme, _, token = offered[0].partition(" ") if len(offered) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""
