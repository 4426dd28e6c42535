"""Denials that anybody on the network can cause without an account: failed logins, tokens that are none.

They belong in the trail, and must not fill the disk. So each kind has a budget of events an hour, the last of which says
that more are not recorded; what is over it is counted in the log alone. A wrong token is one event per address and quarter
of an hour. Nothing that was typed or sent is kept: people type passwords into the field for the name.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from hub.core.access import SYSTEM, Actor
from hub.core.errors import HubError
from hub.core.requests import request_context

from .models import UNAUTHENTICATED_VERBS, AuditEvent, Outcome
from .services import build_event, save_event

STRANGER = "anonymous"
"""``actor_kind`` of somebody who is nobody's account; he has neither id nor name."""
HOUR = timedelta(hours=1)
STRANGERS_AN_HOUR = 1000
ACCOUNTS_AN_HOUR = 5000
ONE_ADDRESS = timedelta(minutes=15)
BUDGET_SPENT = "audit.more_not_recorded"

log = logging.getLogger(__name__)


def record_denied_login(account: Actor | None, detail: Mapping[str, Any]) -> None:
    """A login that was refused: of this account, or of a name that is none. ``detail`` says how it was tried.

    Raises HubError ``audit.unavailable``.
    """
    if account is None:
        _record(_stranger("login", "users", "", detail), STRANGERS_AN_HOUR)
    else:
        event = build_event(
            account,
            "login",
            "users",
            object_id=account.id,
            object_name=account.name,
            outcome=Outcome.DENIED,
            detail=detail,
        )
        _record(event, ACCOUNTS_AN_HOUR)


def record_bad_credentials(code: str, detail: Mapping[str, Any]) -> None:
    """Credentials that open nothing, once for each address and quarter of an hour. Never raises: it refuses nothing."""
    try:
        recent = _denials(ONE_ADDRESS).filter(verb="authenticate", source_ip=request_context().source_ip)
        if not recent.exists():
            _record(_stranger("authenticate", "hub", code, detail), STRANGERS_AN_HOUR)
    except HubError as error:
        log.warning("refused credentials were not recorded: %s", error)


def _stranger(verb: str, resource: str, code: str, detail: Mapping[str, Any]) -> AuditEvent:
    event = build_event(SYSTEM, verb, resource, outcome=Outcome.DENIED, code=code, detail=detail)
    event.actor_kind, event.actor_name = STRANGER, ""
    return event


def _record(event: AuditEvent, budget: int) -> None:
    """Requests at once may pass a spent budget together: they are as many as the hub has threads."""
    same_kind = _denials(HOUR)
    strangers = event.actor_kind == STRANGER
    same_kind = same_kind.filter(actor_kind=STRANGER) if strangers else same_kind.exclude(actor_kind=STRANGER)
    spent = len(same_kind.values_list("pk")[:budget])
    if spent >= budget:
        log.warning("a refused %s was not recorded: %s in the last hour are", event.verb, budget)
        return
    if spent == budget - 1:
        event.detail = {**event.detail, "note": BUDGET_SPENT}
    with transaction.atomic():
        save_event(event)


def _denials(age: timedelta) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(
        outcome=Outcome.DENIED, verb__in=UNAUTHENTICATED_VERBS, at__gt=timezone.now() - age
    ).order_by()
