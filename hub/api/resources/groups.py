"""Groups of identity providers that the hub knows: those that somebody was seen in, or that a role is bound to."""

from typing import Any
from uuid import UUID

from django.db.models import Q
from pydantic import AliasPath, Field

from hub.api.actions import Gets, Lists
from hub.api.documents import RecordShown
from hub.api.listing import Filter, IdFilter, Listing, TextFilter
from hub.identity.models import Group

SEARCH_LIMIT = 100


class GroupShown(RecordShown):
    """``key`` is the provider's immutable id or full path of it; ``name`` is for people."""

    provider: UUID = Field(validation_alias="provider_id")
    provider_name: str = Field(validation_alias=AliasPath("provider", "name"))
    key: str
    name: str


class SearchFilter(Filter):
    """Groups with this text in key or name, whatever the case."""

    def condition(self, text: str) -> Q:
        if not text or len(text) > SEARCH_LIMIT or not text.isprintable():
            raise self._refuse(limit=SEARCH_LIMIT)
        return Q(key__icontains=text) | Q(name__icontains=text)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": SEARCH_LIMIT}


class GroupViewSet(Lists[Group], Gets[Group]):
    resource = "groups"
    rows = Group.objects.select_related("provider")
    shown = GroupShown
    listing = Listing((IdFilter("provider"), TextFilter("key"), SearchFilter("search")), ("key", "-created_at"))
