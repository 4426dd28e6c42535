"""Offers: what the caller's tenants may use in a cluster, with readable names from the cluster itself."""

from typing import Literal

from rest_framework.request import Request
from rest_framework.response import Response

from hub.allowances.models import Grant
from hub.allowances.offers import list_offers
from hub.api.documents import Shown
from hub.api.listing import IdFilter, Listing, envelope, read_parameters
from hub.api.viewsets import ApiViewSet, find_id
from hub.core.access import visible_to
from hub.core.errors import HubError
from hub.federation.models import Cluster


class OfferShown(Shown):
    """``exists`` is null while the cluster does not say. ``details`` help to choose: description, progress of an image in
    percent, VLAN of a network, whether a storage class is the default.
    """

    kind: Literal["network", "image", "storage_class", "ip_pool"]
    name: str
    title: str
    exists: bool | None
    details: dict[str, str]


class OfferViewSet(ApiViewSet, wall=True):
    """``GET clusters/{id}/offers``, of all tenants whose grants the caller may read; ``tenant`` narrows it to one."""

    resource = "grants"
    title = "cluster-offers"
    shown = OfferShown
    listing = Listing((IdFilter("tenant"),), paged=False)
    cluster: Cluster

    def authorise_action(self) -> None:
        """Raises HubError ``object.not_found`` alike for missing and foreign clusters (SEC-40)."""
        id = find_id(self.kwargs["pk"])
        cluster = visible_to(Cluster.objects.all(), self.actor, "get").filter(pk=id).first() if id else None
        if cluster is None:
            raise HubError("object.not_found", resource="clusters")
        self.cluster = cluster

    def list(self, request: Request, pk: str) -> Response:
        values = read_parameters(request.GET, self.listing.parameters)
        grants = visible_to(Grant.objects.filter(cluster=self.cluster), self.actor, "list")
        offers = list_offers(self.listing.narrow(grants, values), self.cluster)
        return Response(envelope([OfferShown.of(offer).model_dump(mode="json") for offer in offers]))
