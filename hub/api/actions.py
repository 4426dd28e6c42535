"""What can be done with rows over HTTP, each a mixin of ``ResourceViewSet``; a leaf supplies the call of a service.

The mixins speak HTTP: bodies, entity tags, idempotency, statuses and Location. The hooks ``perform_*`` know none of it.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.core.access import HUB_SCOPE, AccessScope, verbs_on, visible_to
from hub.core.errors import HubError, define
from hub.core.models import Record
from hub.federation.models import Cluster
from hub.operations.models import Operation
from hub.tenancy.models import Project, Tenant

from .documents import CAN, Body, OperationShown, Shown, read_body
from .idempotency import KeyedRequest, answer_once
from .json_body import pointer_to
from .listing import Listing, envelope, read_parameters
from .merge_patch import merge_patch
from .preconditions import check_if_match, entity_tag
from .viewsets import ApiViewSet, ResourceViewSet, RowT

define("reference.not_found", 400, "There is no such object, or you may not use it")

ROOT = "/api/v1"
References = Mapping[str, Any]


@dataclass(frozen=True)
class Reference:
    """A member of a body that names another row: where it is looked for, and the verb that the actor needs on it."""

    rows: QuerySet[Any]
    verb: str = "get"


@dataclass(frozen=True)
class Made:
    """What a hook has made or changed. With an operation the work goes on, and the answer is 202. ``extra`` is shown in
    this answer alone.
    """

    row: Record
    operation: Operation | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Shows(ResourceViewSet[RowT], wall=True):
    """Rows have a document, and with it what the caller may do with each: ``can`` (see ``documents.CAN``)."""

    shown: ClassVar[type[Shown]]

    def documents_of(self, rows: Sequence[Model]) -> list[dict[str, Any]]:
        verbs = verbs_on(rows, self.actor)
        return [{**self.shown.of(row).model_dump(mode="json"), CAN: sorted(verbs[row.pk])} for row in rows]

    def document_of(self, row: Model) -> dict[str, Any]:
        return self.documents_of([row])[0]

    def answer(self, made: Made, status: int) -> Response:
        """A written row as the database has it now."""
        row = self.rows.filter(pk=made.row.pk).first() or made.row
        headers = {"ETag": entity_tag(row.version)}
        if made.operation is not None:
            status, headers["Location"] = 202, location("operations", made.operation.pk)
        elif status in (201, 202):
            headers["Location"] = location(str(self.resource), row.pk)
        return Response({**self.document_of(row), **made.extra}, status=status, headers=headers)

    def once(self, document: object, effect: Callable[[], Response]) -> Response:
        """The answer of ``effect``, or that of the same request sent before; every POST ends here."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return effect()
        request = KeyedRequest.of(self.actor, key, str(self.request.method), self.request.path, document)
        return answer_once(request, effect)


class Catalogue(ApiViewSet, wall=True):
    """``GET`` of a list that is short, has no rows, and is the same for everybody who may see it."""

    shown: ClassVar[type[Shown]]
    listing = Listing(paged=False)

    @abstractmethod
    def entries(self) -> Iterable[Shown]: ...

    def list(self, request: Request) -> Response:
        read_parameters(request.GET, ())
        return Response(envelope([entry.model_dump(mode="json") for entry in self.entries()]))


class Lists(Shows[RowT], wall=True):
    """``GET`` of many: an envelope with one page."""

    def list(self, request: Request) -> Response:
        page = self.listing.page(self.visible(), self.request.GET)
        return Response(envelope(self.documents_of(page.rows), page.next))


class Gets(Shows[RowT], wall=True):
    """``GET`` of one, with its entity tag when it has a version."""

    def retrieve(self, request: Request, pk: str) -> Response:
        row = self.row
        headers = {"ETag": entity_tag(row.version)} if isinstance(row, Record) else {}
        return Response(self.document_of(row), headers=headers)


class Creates(Shows[RowT], wall=True):
    """``POST``: the body is read, what it refers to is looked up, the right is asked for where it will be, then it is made."""

    create_body: ClassVar[type[Body]]
    created: ClassVar[type[Shown] | None] = None
    """The document of the answer to a POST, where it is more than that of a GET; for the OpenAPI file."""
    starts_work: ClassVar[bool] = False
    references: ClassVar[Mapping[str, Reference]] = {}

    @abstractmethod
    def perform_create(self, body: Any, references: References) -> Made: ...

    def create(self, request: Request) -> Response:
        document = request.data
        body = read_body(self.create_body, document)
        named = {name: getattr(body, name) for name in self.references}
        found = {name: self._find(self.references[name], id) for name, id in named.items() if id is not None}
        faults = [
            HubError("reference.not_found", pointer=pointer_to("", name), verb=self.references[name].verb)
            for name, row in found.items()
            if row is None
        ]
        if not faults or scope_of(found) != HUB_SCOPE:  # else the place itself is unknown, and there is nothing to ask
            self.authorise("create", scope_of(found))
        if faults:
            raise HubError("request.invalid", causes=faults)
        return self.once(document, lambda: self.answer(self.perform_create(body, found), 201))

    def _find(self, reference: Reference, id: UUID) -> Model | None:
        row: Model | None = visible_to(reference.rows.all(), self.actor, reference.verb).filter(pk=id).first()
        return row


class Updates(Shows[RowT], wall=True):
    """``PATCH`` with ``If-Match``: a merge patch on the members that ``update_body`` has."""

    update_body: ClassVar[type[Body]]
    update_starts_work: ClassVar[bool] = False

    @abstractmethod
    def perform_update(self, row: Any, body: Any, expected_version: int | None) -> Made: ...

    def partial_update(self, request: Request, pk: str) -> Response:
        row = self.row
        expected = check_if_match(request.headers.get("If-Match"), _record(row))
        body = read_body(self.update_body, self._merged(row, request.data))
        return self.answer(self.perform_update(row, body, expected), 200)

    def _merged(self, row: RowT, patch: object) -> object:
        if not isinstance(patch, Mapping):
            return patch  # refused by the model, with the right words
        known = self.update_body.model_fields
        current = {name: getattr(row, name) for name in known if hasattr(row, name)}  # a password can be set, not read
        unknown = {name: value for name, value in patch.items() if name not in known}
        return {**unknown, **merge_patch(current, {name: patch[name] for name in patch if name in known})}


class Deletes(Shows[RowT], wall=True):
    """``DELETE`` with ``If-Match``: 204 when it is done, 202 when it goes on, with what to watch: the operation, or the row
    itself where there is none.
    """

    delete_starts_work: ClassVar[bool] = False
    delete_shows_row: ClassVar[bool] = False

    @abstractmethod
    def perform_delete(self, row: Any, expected_version: int | None) -> Operation | None: ...

    def destroy(self, request: Request, pk: str) -> Response:
        row = self.row
        expected = check_if_match(request.headers.get("If-Match"), _record(row))
        operation = self.perform_delete(row, expected)
        if self.delete_shows_row:
            return self.answer(Made(_record(row)), 202)
        if operation is None:
            return Response(status=204)
        headers = {"Location": location("operations", operation.pk)}
        verbs = verbs_on([operation], self.actor)[operation.pk]
        document = {**OperationShown.of(operation).model_dump(mode="json"), CAN: sorted(verbs)}
        return Response(document, status=202, headers=headers)


Handler = Callable[..., Response]


def posted(
    body: type[Body] | None = None, shown: type[Shown] | None = None, *, path: str | None = None
) -> Callable[[Handler], Handler]:
    """Marks a method as ``POST`` of a thing below one row, with the documents it takes and answers, if any (204 without).
    ``path`` is its last part when it is not the method's name.
    """

    def mark(handler: Handler) -> Handler:
        marked: Any = action(detail=True, methods=["post"], url_path=path)(handler)
        marked.body, marked.shown = body, shown  # read by the OpenAPI description
        return marked  # type: ignore[no-any-return]

    return mark


def scope_of(references: References) -> AccessScope:
    """Where something will be that is made in this project or tenant, or else in this cluster; the hub itself without.

    A cluster is no place for what should be in a project that was not found: that is then what the caller has to be told.
    """
    for row in references.values():
        if isinstance(row, Project):
            return AccessScope(tenant_id=row.tenant_id, project_id=row.pk)
        if isinstance(row, Tenant):
            return AccessScope(tenant_id=row.pk)
    if None in references.values():
        return HUB_SCOPE
    for row in references.values():
        if isinstance(row, Cluster):
            return AccessScope(tenant_id=row.tenant_id, project_id=row.project_id, cluster_id=row.pk)
    return HUB_SCOPE


def location(resource: str, id: UUID) -> str:
    return f"{ROOT}/{resource}/{id}"


def _record(row: Model) -> Record:
    assert isinstance(row, Record)
    return row
