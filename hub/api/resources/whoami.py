"""Whoami: the caller as the hub sees him, with his roles and what his token leaves of them."""

from typing import ClassVar
from uuid import UUID

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.models import RoleBinding
from hub.api.documents import Shown
from hub.api.viewsets import ApiViewSet
from hub.core.access import TokenScope
from hub.identity.token_scope import scope_to_json

from .tokens import ScopeShown


class HeldRoleShown(Shown):
    """A role and where it holds; without ``scope_id`` on the whole hub."""

    role: str
    scope_kind: str
    scope_id: UUID | None


class WhoamiShown(Shown):
    kind: str
    id: UUID | None
    name: str
    token: UUID | None
    scope: ScopeShown
    roles: list[HeldRoleShown]


class WhoamiViewSet(ApiViewSet, wall=True):
    """Open to whoever is authenticated: he reads nothing but himself."""

    title = "whoami"
    shown: ClassVar[type[Shown]] = WhoamiShown

    def retrieve(self, request: Request) -> Response:
        actor = self.actor
        bindings = RoleBinding.objects.facts_of(actor.id, timezone.now()) if actor.id is not None else []
        shown = WhoamiShown(
            kind=actor.kind,
            id=actor.id,
            name=actor.name,
            token=actor.token_id,
            scope=ScopeShown.of(scope_to_json(actor.token_scope or TokenScope())),
            roles=[HeldRoleShown.of(binding) for binding in bindings],
        )
        return Response(shown.model_dump(mode="json"))
