"""Kubeconfigs: one file for one or many clusters, with a token in it or by way of ``paddock-login``.

A file with a token is an object with an end of its own: it is listed without its secret, and ``DELETE`` ends it. The
other form holds nothing that would have to be taken back.
"""

import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.escalation import refuse_stronger_user
from hub.api.actions import Deletes, Gets, Lists, location
from hub.api.documents import Body, Id, RecordShown, Shown, read_body
from hub.api.kubeconfigs import issue_kubeconfig, render_exec_kubeconfig
from hub.api.listing import IdFilter, Listing
from hub.core.access import Actor, visible_to
from hub.core.errors import HubError
from hub.federation.models import Cluster
from hub.identity.models import ApiToken, TokenPurpose
from hub.identity.tokens import revoke_token
from hub.operations.models import Operation

from .tokens import ClusterFilter, Lifetime, StateFilter

CLUSTERS_LIMIT = 1000


class KubeconfigBody(Body):
    """Without ``expires_in_seconds`` the token lives for 30 days, or as long as the hub allows."""

    expires_in_seconds: Lifetime | None = None

    @property
    def lifetime(self) -> datetime.timedelta | None:
        return None if self.expires_in_seconds is None else datetime.timedelta(seconds=self.expires_in_seconds)


class KubeconfigOfManyBody(KubeconfigBody):
    """``all`` are those that the caller may reach now; a token does not grow with what comes later."""

    clusters: Annotated[list[Id], Field(min_length=1, max_length=CLUSTERS_LIMIT)] | Literal["all"]
    form: Literal["exec", "token"] = "exec"


class IssuedKubeconfigShown(Shown):
    """``kubeconfig`` is shown in this one answer. Without a token in it, it has no end and no ``token_id``."""

    kubeconfig: str
    expires_at: datetime.datetime | None
    token_id: UUID | None


class KubeconfigShown(RecordShown):
    """A downloaded file with a token in it; ``id`` is that of the token."""

    user: UUID
    name: str
    clusters: list[UUID]
    expires_at: datetime.datetime
    last_used_at: datetime.datetime | None
    revoked_at: datetime.datetime | None

    @classmethod
    def of(cls, source: ApiToken) -> Self:
        return cls(
            id=source.pk,
            version=source.version,
            created_at=source.created_at,
            updated_at=source.updated_at,
            user=source.user_id,
            name=source.name,
            clusters=[UUID(id) for id in source.scope.get("clusters") or ()],
            expires_at=source.expires_at,
            last_used_at=source.last_used_at,
            revoked_at=source.revoked_at,
        )


def answer_kubeconfig(actor: Actor, clusters: list[Cluster], lifetime: datetime.timedelta | None) -> Response:
    """The answer that holds a new token and its file."""
    token, text = issue_kubeconfig(actor, clusters, lifetime)
    shown = IssuedKubeconfigShown(kubeconfig=text, expires_at=token.expires_at, token_id=token.pk)
    return Response(shown.model_dump(mode="json"), status=201, headers={"Location": location("kubeconfigs", token.pk)})


class KubeconfigViewSet(Lists[ApiToken], Gets[ApiToken], Deletes[ApiToken], wall=True):
    """Whoever may reach a cluster may have a file for it, so nothing else is asked when one is made."""

    resource = "tokens"
    title = "kubeconfigs"
    rows = ApiToken.objects.filter(purpose=TokenPurpose.KUBECONFIG)
    shown = KubeconfigShown
    created = IssuedKubeconfigShown
    create_body = KubeconfigOfManyBody
    starts_work = False
    listing = Listing((IdFilter("user"), ClusterFilter("cluster"), StateFilter("state")), ("-created_at", "expires_at"))

    def create(self, request: Request) -> Response:
        body = read_body(KubeconfigOfManyBody, request.data)
        clusters = self._clusters(body)
        return self.once(request.data, lambda: self._issue(body, clusters))

    def perform_delete(self, row: ApiToken, expected_version: int | None) -> Operation | None:
        if row.user_id != self.actor.id:
            refuse_stronger_user(self.actor, row.user)
        revoke_token(self.actor, row, expected_version=expected_version)
        return None

    def _clusters(self, body: KubeconfigOfManyBody) -> list[Cluster]:
        """By name. Raises HubError ``request.invalid`` naming each that is missing or out of the caller's reach."""
        reachable = visible_to(Cluster.objects.all(), self.actor, "proxy").order_by("name")
        if body.clusters == "all":
            return list(reachable.filter(deletion_requested_at__isnull=True)[: CLUSTERS_LIMIT + 1])
        found = list(reachable.filter(pk__in=body.clusters))
        known = {cluster.pk for cluster in found}
        faults = [
            HubError("reference.not_found", pointer=f"/clusters/{index}", verb="proxy")
            for index, id in enumerate(body.clusters)
            if id not in known
        ]
        if faults:
            raise HubError("request.invalid", causes=faults)
        return found

    def _issue(self, body: KubeconfigOfManyBody, clusters: list[Cluster]) -> Response:
        if body.form == "token":
            return answer_kubeconfig(self.actor, clusters, body.lifetime)
        shown: dict[str, Any] = IssuedKubeconfigShown(
            kubeconfig=render_exec_kubeconfig(clusters), expires_at=None, token_id=None
        ).model_dump(mode="json")
        return Response(shown, status=201)
