"""``/k8s/clusters/<id>/…``: a member's Kubernetes API as the caller, with the rights that his bindings give him now.

The caller's token opens the hub, never the member: there the hub's own account impersonates him and the groups derived from
his bindings. Whatever he says of identities himself is dropped (SEC-14 to SEC-16). Changes, sessions into workloads and
reads of Secrets are recorded before they leave.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from hub.access.snapshot import Principal, Snapshot, authenticate, groups_for
from hub.core.access import TokenScope
from hub.identity.token_format import parse_token
from kube.relay.attributes import AmbiguousPath, RequestAttributes, read_attributes
from kube.relay.exchange import Exchange
from kube.relay.heads import Headers, without_hop_by_hop

from .answers import Refusal
from .audit_writer import AuditEntry, AuditWriter
from .connection import Incoming
from .members import Member, Members
from .registry import OpenStream, StreamRegistry
from .rights import Rights
from .usage import TokenUsage
from .web import FORWARDED

PREFIX = re.compile(r"/k8s/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)?\Z")
_MAY_BE_OUTDATED = frozenset([401, 404])
TOKEN_IN_QUERY = re.compile(r"(?:^|&)(?:access_token|token|authorization)=", re.IGNORECASE)

# Credentials of the hub, and everything that a member might take for an identity.
IDENTITY_HEADERS = frozenset(["authorization", "cookie", "x-remote-user", "x-remote-group", "x-remote-uid"])
IDENTITY_PREFIXES = ("impersonate-", "x-remote-extra-")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in: who, where, what."""

    key_id: str
    principal: Principal
    groups: tuple[str, ...]
    cluster_id: UUID
    target: str
    attributes: RequestAttributes


class KubernetesProxy:
    """The route of all requests below ``/k8s/``."""

    def __init__(
        self, rights: Rights, members: Members, audit: AuditWriter, registry: StreamRegistry, usage: TokenUsage
    ) -> None:
        self._rights = rights
        self._members = members
        self._audit = audit
        self._registry = registry
        self._usage = usage

    async def __call__(self, incoming: Incoming) -> bool:
        call = await self._decide(incoming)
        member = await self._members.get(call.cluster_id)
        await self._record(incoming, call)
        self._usage.note(call.principal.token_id)
        headers = upstream_headers(incoming, call, member)
        exchange = Exchange(member.pool, incoming.head, call.target, headers, incoming.client)
        with self._registry.hold(OpenStream(self._still_allowed(call), incoming.cut)):
            return await exchange.run()

    async def _decide(self, incoming: Incoming) -> Call:
        """A refusal is only final when the rights are known as they are now: a token may be younger than the last poll."""
        try:
            return decide(self._rights.snapshot, incoming)
        except Refusal as refusal:
            if refusal.status not in _MAY_BE_OUTDATED:
                raise
        await self._rights.look_again()
        return decide(self._rights.snapshot, incoming)

    async def _record(self, incoming: Incoming, call: Call) -> None:
        attributes = call.attributes
        if attributes.reads and not attributes.reads_secret:
            return
        detail = {
            "path": attributes.path,
            "group": attributes.group,
            "subresource": attributes.subresource,
            "namespace": attributes.namespace,
            "proxied": True,
        }
        entry = AuditEntry(
            actor=call.principal.actor,
            verb=attributes.verb,
            resource=attributes.resource or "nonresource",
            object_name=attributes.name,
            cluster_id=call.cluster_id,
            request_id=incoming.request_id,
            source_ip=incoming.peer,
            detail=detail,
        )
        await self._audit.write(entry)

    def _still_allowed(self, call: Call) -> Callable[[], bool]:
        """What was let in with these groups stays while the token lives and none of the groups is lost."""

        def allowed() -> bool:
            snapshot = self._rights.snapshot
            if snapshot is None or call.key_id not in snapshot.tokens or call.principal.expires_at <= timezone.now():
                return False
            return set(call.groups) <= set(groups_for(snapshot, call.principal, call.cluster_id))

        return allowed


def decide(snapshot: Snapshot | None, incoming: Incoming) -> Call:
    """Who asks for what, and as which groups; pure. Raises Refusal."""
    head = incoming.head
    match = PREFIX.match(head.path)
    if match is None:
        raise Refusal(404, "object.not_found", "The path is /k8s/clusters/<cluster id>/….")
    if TOKEN_IN_QUERY.search(head.query):
        raise Refusal(400, "request.token_in_query", "A token in the query is not accepted: send it as a header.")
    if snapshot is None:
        raise Refusal(503, "hub.unavailable", "The hub cannot confirm rights now; try again.", 2)
    offered = parse_token(_bearer(incoming))
    principal = authenticate(snapshot, _bearer(incoming), timezone.now())
    if offered is None or principal is None:
        raise Refusal(401, "request.unauthenticated", "The token is missing or not valid.")
    cluster_id = UUID(match.group(1))
    groups = groups_for(snapshot, principal, cluster_id)
    if not groups:  # the same answer for a foreign cluster and for none (SEC-40)
        raise Refusal(404, "object.not_found", "There is no such cluster, or you may not reach it.")
    path = match.group(2) or "/"
    try:
        attributes = read_attributes(head.method, path, head.query)
    except AmbiguousPath as error:
        raise Refusal(400, "request.path_ambiguous", str(error)) from error
    check_token_scope(principal.scope, attributes)
    target = path + (f"?{head.query}" if head.query else "")
    return Call(offered.key_id, principal, tuple(groups), cluster_id, target, attributes)


def check_token_scope(scope: TokenScope, attributes: RequestAttributes) -> None:
    """A token that only reads opens no sessions and changes nothing, whatever its owner may. Raises Refusal."""
    if scope.read_only and not attributes.reads:
        raise Refusal(403, "request.denied", "This token only reads.")


def upstream_headers(incoming: Incoming, call: Call, member: Member) -> Headers:
    """What the member is told: the hub's account, one identity built here, and the caller's harmless fields."""
    kept = [
        (name, value)
        for name, value in without_hop_by_hop(incoming.head.headers, IDENTITY_HEADERS | FORWARDED)
        if not name.lower().startswith(IDENTITY_PREFIXES)
    ]
    identity: Headers = [
        ("Authorization", f"Bearer {member.token}"),
        ("Impersonate-User", call.principal.impersonated_user),
        *(("Impersonate-Group", group) for group in call.groups),
        ("X-Request-Id", incoming.request_id),
    ]
    return [*kept, *identity]


def _bearer(incoming: Incoming) -> str:
    offered = incoming.head.get_all("authorization")
    if len(offered) != 1:
        return ""
    scheme, _, token = offered[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
