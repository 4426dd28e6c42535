"""``/k8s/clusters/<id>/…``: a member's Kubernetes API as the caller, with the rights that his bindings give him now.

The caller's token or session opens the hub, never the member: there the hub's own account impersonates him and the groups
derived from his bindings. Changes, sessions into workloads and reads of Secrets are recorded before they leave; afterwards,
what did not succeed, and the end of a session.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from django.utils import timezone

from hub.access.snapshot import Snapshot
from hub.audit.models import Outcome
from kube.relay.exchange import Exchange

from .audit_writer import AuditEntry, AuditWriter
from .connection import Incoming
from .decisions import Ask, Call, NotLetIn, decide, read_ask, still_allowed
from .member_headers import answer_headers, member_headers
from .members import Members
from .registry import OpenStream, StreamRegistry
from .rights import Rights
from .usage import Usage

# Seconds after which a watch or session is cut, whatever its token allows (SEC-48).
LONGEST_STREAM = 12 * 3600.0
APPROVED_FOR = 3.0  # what a snapshot allowed is asked of it again after so long
_MAY_BE_OUTDATED = frozenset([401, 404])
_LONGEST_PATH = 1024  # of what is kept in the audit trail
_LONGEST_NAME = 120


class KubernetesProxy:
    """The route of all requests below ``/k8s/``."""

    def __init__(
        self, rights: Rights, members: Members, audit: AuditWriter, registry: StreamRegistry, usage: Usage
    ) -> None:
        self._rights = rights
        self._members = members
        self._audit = audit
        self._registry = registry
        self._usage = usage

    async def __call__(self, incoming: Incoming) -> bool:
        ask = read_ask(incoming.head)
        try:
            call = await self._let_in(ask)
        except NotLetIn as refusal:
            await self._record_denial(incoming, ask, refusal)
            raise
        # Held from the decision on: a right that goes while this waits for the database counts too.
        with self._registry.hold(OpenStream(self._allowance(call), incoming.cut)):
            return await self._carry(incoming, call)

    async def _let_in(self, ask: Ask) -> Call:
        """A refusal is only final when the rights are known as they are now: a token may be younger than the last poll."""
        try:
            return decide(self._rights.snapshot, ask, timezone.now())
        except NotLetIn as refusal:
            if refusal.status not in _MAY_BE_OUTDATED or ask.key_id is None:
                raise
        await self._rights.look_again()
        return decide(self._rights.snapshot, ask, timezone.now())

    async def _carry(self, incoming: Incoming, call: Call) -> bool:
        member = await self._members.get(call.ask.cluster_id)
        entry = _entry(incoming, call) if call.ask.changes or call.ask.attributes.reads_secret else None
        if entry is not None:
            await self._audit.write(entry)
        self._usage.note(call.principal)
        exchange = Exchange(
            member.pool,
            incoming.head,
            call.ask.target,
            member_headers(incoming.head, call, member.token, incoming.request_id),
            incoming.client,
            answer_headers=lambda response: answer_headers(response, call, incoming.request_id),
        )
        began = time.monotonic()
        try:
            return await exchange.run()
        finally:
            end = _end_of(entry, exchange, time.monotonic() - began) if entry is not None else None
            if end is not None:
                self._audit.write_later(end)

    async def _record_denial(self, incoming: Incoming, ask: Ask, refusal: NotLetIn) -> None:
        """As in the REST API: reading what is not there is no denial, or everybody who polls fills the trail."""
        if refusal.principal is None:
            if incoming.head.get("authorization") or incoming.head.get("cookie"):
                self._audit.note_stranger(_stranger_entry(incoming, ask, refusal))
            return
        if refusal.status == 404 and not ask.changes:
            return
        call = Call(ask, refusal.principal, "", (), None, None)
        await self._audit.write(replace(_entry(incoming, call), outcome=Outcome.DENIED, code=refusal.code))

    def _allowance(self, call: Call) -> Callable[[], bool]:
        """Whether the call may go on. Groups are computed again for another snapshot, and now and then for the same one:
        a role may be given for a time, and a membership counts only so long.
        """
        ends_at = time.monotonic() + LONGEST_STREAM
        approved_by: Snapshot | None = None
        approved_until = 0.0

        def allowed() -> bool:
            nonlocal approved_by, approved_until
            snapshot, now = self._rights.snapshot, time.monotonic()
            if now > ends_at:
                return False
            if snapshot is not None and snapshot is approved_by and now < approved_until:
                return call.principal.expires_at > timezone.now()
            approved_by = snapshot if still_allowed(snapshot, call, timezone.now()) else None
            approved_until = now + APPROVED_FOR
            return approved_by is not None

        return allowed


def _entry(incoming: Incoming, call: Call) -> AuditEntry:
    attributes = call.ask.attributes
    return AuditEntry(
        actor=call.principal.actor,
        verb=attributes.verb,
        resource=attributes.resource[:_LONGEST_NAME] or "nonresource",
        object_name=attributes.name,
        tenant_id=call.tenant_id,
        project_id=call.project_id,
        cluster_id=call.ask.cluster_id,
        request_id=incoming.request_id,
        source_ip=incoming.peer,
        namespace=attributes.namespace,
        detail={
            "path": attributes.path[:_LONGEST_PATH],
            "group": attributes.group[:_LONGEST_NAME],
            "subresource": attributes.subresource[:_LONGEST_NAME],
            "proxied": True,
        },
    )


def _stranger_entry(incoming: Incoming, ask: Ask, refusal: NotLetIn) -> AuditEntry:
    return AuditEntry(
        actor=None,
        verb=ask.attributes.verb,
        resource="clusters",
        object_name="",
        tenant_id=None,
        project_id=None,
        cluster_id=ask.cluster_id,
        request_id=incoming.request_id,
        source_ip=incoming.peer,
        detail={"path": f"/k8s/clusters/{ask.cluster_id}{ask.attributes.path}"[:_LONGEST_PATH]},
        code=refusal.code,
    )


def _end_of(entry: AuditEntry, exchange: Exchange, seconds: float) -> AuditEntry | None:
    """What there is to tell afterwards; None: it went as it was recorded."""
    detail = {**entry.detail, "status": exchange.status}
    if exchange.status == 101:
        return replace(entry, detail={**detail, "session_seconds": round(seconds, 1)})
    if exchange.status == 0:  # no answer came; was it carried out?
        return replace(entry, outcome=Outcome.UNKNOWN if exchange.sent else Outcome.FAILED, detail=detail)
    if exchange.status in {401, 403}:
        return replace(entry, outcome=Outcome.DENIED, detail=detail)
    return replace(entry, outcome=Outcome.FAILED, detail=detail) if exchange.status >= 400 else None
