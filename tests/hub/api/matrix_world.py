"""Two tenants, and for every built-in role somebody who has it in the first one's place: the world of the tests that try
everything as everybody. A module has one; what its tests do in it is undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker

from hub.access.services import Scope, bind_role
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.core.models import hub_identity
from hub.identity.actors import actor_of
from hub.identity.models import TokenPurpose
from hub.identity.sessions import COOKIE, start_session
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Caller, with_token
from tests.hub.api.matrix_table import (
    EVERYBODYS,
    FOREIGN,
    MISSING,
    NOBODY,
    OF_CLUSTER,
    OF_HUB,
    OF_PROJECT,
    OF_TENANT,
    OWN,
    ROLES,
    STRANGER,
)
from tests.hub.api.world import Estate, make_estate
from tests.hub.builders import make_user
from tests.workers.stage import set_stage


@dataclass(frozen=True)
class World:
    """Two tenants, and for each role somebody who has it in the first one's place."""

    own: Estate
    other: Estate
    callers: Mapping[str, Caller]
    browsers: Mapping[str, Caller]  # the same people with a session's cookie
    own_rows: Mapping[str, Mapping[str, Any]]  # by caller: ids of what everybody has of his own

    def id_of(self, caller: str, resource: str, ownership: str) -> str:
        if ownership == MISSING:
            return str(uuid7())
        if ownership == OWN and resource in EVERYBODYS and caller in self.own_rows:
            return str(self.own_rows[caller][resource])
        return str({OWN: self.own, FOREIGN: self.other}[ownership].id_of(resource))

    def target(self, ownership: str) -> Estate | None:
        return {OWN: self.own, FOREIGN: self.other}.get(ownership)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker, pumps: None) -> Iterator[World]:
    """``pumps``: some tests look at every kind of row that is loaded."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, undone():
        set_stage(patch)
        hub_identity()  # made when it is first asked for
        own, other = make_estate(), make_estate()
        for name in ("pasted_kubeconfig", "client_certificate", "access_token", "renewal_token"):
            setattr(own.cluster, name, f"canary-canary-canary-{name}")
        own.cluster.save()
        callers, pages, rows = {STRANGER: Caller()}, {STRANGER: Caller()}, {}
        for role in (*ROLES, NOBODY):
            user = make_user(role)
            if role != NOBODY:
                bind_role(SYSTEM, role, user, place_of(role, own))
            callers[role] = with_token(actor_of(user))
            session, text = start_session(user, peer="127.0.0.1", user_agent="browser")
            pages[role] = Caller(client=Client(headers={"Cookie": f"{COOKIE}={text}"}))
            rows[role] = {
                "users": user.pk,
                "tokens": user.tokens.get().pk,
                "sessions": session.pk,
                "kubeconfigs": issue_token(SYSTEM, user, name="file", purpose=TokenPurpose.KUBECONFIG)[0].pk,
            }
        yield World(own, other, callers, pages, rows)


@contextmanager
def undone() -> Iterator[None]:
    """Takes back what happens inside, like Django's TestCase does; also what would commit by itself."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


def place_of(role: str, estate: Estate) -> Scope:
    places: dict[frozenset[str], Scope] = {
        OF_HUB: None,
        OF_CLUSTER: estate.cluster,
        OF_TENANT: estate.tenant,
        OF_PROJECT: estate.project,
    }
    return next(place for roles, place in places.items() if role in roles)
