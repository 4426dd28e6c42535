"""Where rows belong, by the paths of the permission table: so that what one may do with each of a page is computed in
memory, by the same reading as the SQL of ``policy``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Model

from hub.core.access import TokenScope

from .grants import Reach
from .permissions import Resource

_KINDS = ("tenant", "project", "cluster")


@dataclass(slots=True)
class Place:
    """All tenants, projects and clusters that a row belongs to, and its owner."""

    tenants: set[UUID] = field(default_factory=set)
    projects: set[UUID] = field(default_factory=set)
    clusters: set[UUID] = field(default_factory=set)
    owner: UUID | None = None

    def within(self, reach: Reach, user_id: UUID | None) -> bool:
        """Whether the reach holds the row."""
        return (
            reach.everywhere
            or not reach.tenants.isdisjoint(self.tenants)
            or not reach.projects.isdisjoint(self.projects)
            or not reach.clusters.isdisjoint(self.clusters)
            or (reach.own and self.owner is not None and self.owner == user_id)
        )

    def open_to(self, token: TokenScope) -> bool:
        """Whether the token's scope holds the row."""
        return (token.projects is None or not token.projects.isdisjoint(self.projects)) and (
            token.clusters is None or not token.clusters.isdisjoint(self.clusters)
        )


def places_of(rows: Sequence[Model], resource: Resource) -> Mapping[Any, Place]:
    """The place of each row, by primary key. One query when a path leaves the row itself, none otherwise."""
    paths = [(kind, path) for kind in _KINDS for path in resource.paths(kind)]
    if resource.owner is not None:
        paths.append(("owner", resource.owner))
    names = [path for _, path in paths]
    if not any("__" in name for name in names):
        found: Iterable[Sequence[Any]] = ((row.pk, *(getattr(row, name) for name in names)) for row in rows)
    else:
        # A path to many gives a row once for each of its children; the sets take that.
        model = type(rows[0])
        found = model._base_manager.filter(pk__in=[row.pk for row in rows]).values_list("pk", *names).iterator()
    places: defaultdict[Any, Place] = defaultdict(Place)
    for row in rows:
        places[row.pk] = Place()
    for pk, *ids in found:
        for (kind, _), id in zip(paths, ids, strict=True):
            _note(places[pk], kind, id)
    return places


def _note(place: Place, kind: str, id: UUID | None) -> None:
    if id is None:
        return
    if kind == "owner":
        place.owner = id
    else:
        {"tenant": place.tenants, "project": place.projects, "cluster": place.clusters}[kind].add(id)
