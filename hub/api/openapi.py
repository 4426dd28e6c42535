"""The OpenAPI 3.1 description, made by drf-spectacular from what the views declare; ``docs/openapi.json`` is its copy.

Nothing is annotated by hand: operation ids, parameters, bodies, answers and errors follow from the viewset's attributes.
"""

import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel

from .documents import CAN, CAN_MEANS, OperationShown, ProblemShown
from .listing import DEFAULT_LIMIT, LARGEST_LIMIT, Listing
from .problems import PROBLEM_TYPE

SUFFIX = "Shown"
PATCH_TYPES = ("application/merge-patch+json", "application/json")
_ID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}
_ERRORS = {
    "400": "The request is not valid; errors say where",
    "401": "Credentials are missing or not valid",
    "403": "Not allowed",
    "404": "There is no such object, or it is not visible",
    "409": "In conflict with what is there",
    "410": "The list has to be started again",
    "412": "The object has changed since it was read",
    "413": "The body is too large",
    "415": "The body's media type is not taken",
    "422": "Cannot be carried out as it is; errors say where",
    "428": "If-Match is missing",
    "429": "Too often; wait as Retry-After says",
    "503": "Not now; try again",
}
_BODY_ERRORS = ("400", "403", "409", "413", "415", "422", "503")
_ERRORS_OF = {
    "list": ("400", "410"),
    "retrieve": ("400",),
    "partial_update": (*_BODY_ERRORS, "412", "428"),
    "destroy": ("400", "403", "409", "412", "428"),
}
_SETTINGS: dict[str, Any] = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Paddock",
    "VERSION": "1.0.0",
    "DESCRIPTION": (
        "One API over many Harvester and Kubernetes clusters and their tenants. Answers carry codes and parameters; "
        "text for people is made in their language by whoever shows it."
    ),
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SERVERS": [{"url": "/"}],
    "POSTPROCESSING_HOOKS": [],
    "APPEND_COMPONENTS": {
        "responses": {
            f"Problem{code}": {
                "description": text,
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemShown"}}},
            }
            for code, text in _ERRORS.items()
        },
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token, pdk_..."},
            "password": {"type": "http", "scheme": "basic", "description": "A local user, for the first token only"},
        },
    },
}


def build_openapi() -> dict[str, Any]:
    """The description of everything under /api/v1."""
    from .urls import VIEWSETS, api_patterns

    tags = [{"name": view.title_of_resource(), "description": _first_paragraph(view)} for view in VIEWSETS]
    with patched_settings({**_SETTINGS, "TAGS": tags}):
        generator: Any = SchemaGenerator(patterns=api_patterns)  # type: ignore[no-untyped-call]
        document: dict[str, Any] = _tidy(generator.get_schema(request=None, public=True))
    return document


@lru_cache(maxsize=1)
def openapi_of_process() -> dict[str, Any]:
    """The same, made once."""
    return build_openapi()


class HubSchema(AutoSchema):
    """Reads the attributes of ``viewsets`` and ``actions``; it asks for them by name, because it lies below both."""

    @property
    def leaf(self) -> Any:
        """The view, with attributes that DRF's own type does not have."""
        return self.view

    def get_operation_id(self) -> str:
        if self.is_below_one:
            return f"create{self.singular}{_camel(self.action)}"
        return str(self.leaf.verb) + (self.plural if self.action == "list" else self.singular)

    def get_tags(self) -> list[str]:
        return [self.leaf.title_of_resource()]

    def get_summary(self) -> None:
        return None

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's, not DRF's
        """What the tag says is enough for the standard actions."""
        return inspect.cleandoc(self.handler.__doc__ or "") if self.is_below_one else ""

    def get_auth(self) -> list[dict[str, list[str]]]:
        if self.action in self.leaf.open_actions:
            return [{}]
        password: list[dict[str, list[str]]] = [{"password": []}]
        return [{"token": []}, *(password if self.action in self.leaf.password_actions else [])]

    def get_override_parameters(self) -> list[Any]:
        return [*self._path(), *self._query(), *self._headers()]

    def get_request_serializer(self) -> Any:
        if self.action == "create":
            return self.leaf.create_body
        if self.action == "partial_update":
            return dict.fromkeys(PATCH_TYPES, self._patch(self.leaf.update_body))
        return getattr(self.handler, "body", None)

    def _get_request_body(self, direction: Any = "request") -> dict[str, Any] | None:
        body: dict[str, Any] | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        return body and {**body, "required": True}

    def _patch(self, model: type[BaseModel]) -> dict[str, Any]:
        """The members of the model, none of them required, and null to take one away."""
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        members = {name: {"anyOf": [member, {"type": "null"}]} for name, member in schema["properties"].items()}
        return self._component(
            f"{self.singular}Patch", {"type": "object", "properties": members, "additionalProperties": False}
        )

    def get_response_serializers(self) -> Any:
        """Never asked: answers are built by ``_get_response_bodies``."""
        return None

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        status, schema = self._success()
        self._ref(ProblemShown)
        by_caller = "429" if self.action in self.leaf.open_actions else "401"
        absent = ["404"] if "{id}" in self.path or self.leaf.may_be_absent else []
        codes = {by_caller, *_ERRORS_OF.get(self.action, _BODY_ERRORS), *absent}
        problems = {code: {"$ref": f"#/components/responses/Problem{code}"} for code in sorted(codes)}
        return {status: self._answer(schema), **problems}

    def _success(self) -> tuple[str, dict[str, Any] | None]:
        view = self.leaf
        if self.action == "list":
            return "200", self._ref(view.shown) if self.exports else self._envelope()
        if self.action == "create":
            return "202" if view.starts_work else "201", self._row(view.created or view.shown)
        if self.action == "partial_update":
            return "202" if view.update_starts_work else "200", self._row(view.shown)
        if self.action == "destroy":
            if view.delete_shows_row:
                return "202", self._row(view.shown)
            return ("202", self._row(OperationShown)) if view.delete_starts_work else ("204", None)
        if self.action == "retrieve":
            return "200", self._row(view.shown)
        return ("204", None) if self.handler.shown is None else ("201", self._ref(self.handler.shown))

    def _answer(self, schema: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": ""}
        headers = {name: {"schema": _TEXT, "description": text} for name, text in self._answer_headers().items()}
        if headers:
            answer["headers"] = headers
        if schema is not None:
            answer["content"] = {
                media_type: {"schema": schema if "json" in media_type else _TEXT}
                for media_type in self.exports.values() or ["application/json"]
            }
        return answer

    def _answer_headers(self) -> dict[str, str]:
        headers = {}
        if self.action in ("retrieve", "create", "partial_update") and "version" in self.leaf.shown.model_fields:
            headers["ETag"] = "The object's version, for If-Match"
        status, _ = self._success()
        if status in ("201", "202"):
            followed = status == "202" and not (self.action == "destroy" and self.leaf.delete_shows_row)
            headers["Location"] = "The operation to watch" if followed else "Where the object is"
        return headers

    def _envelope(self) -> dict[str, Any]:
        shown = self.leaf.shown
        members = {
            "items": {"type": "array", "items": self._row(shown)},
            "continue": {"type": ["string", "null"], "description": "For the next page; null at the end"},
        }
        schema = {"type": "object", "properties": members, "required": list(members)}
        return self._component(f"{shown.__name__.removesuffix(SUFFIX)}List", schema)

    def _component(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        component: Any = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema
        )
        self.registry.register_on_missing(component)
        reference: dict[str, Any] = component.ref
        return reference

    def _ref(self, document: Any) -> dict[str, Any]:
        reference: dict[str, Any] = self.resolve_serializer(document, "response").ref
        return reference

    def _row(self, document: Any) -> dict[str, Any]:
        """A document that the wall gives ``can``, where the view is one of rows."""
        if hasattr(self.leaf, "rows"):
            members = self.resolve_serializer(document, "response").schema["properties"]
            members[CAN] = {"type": "array", "items": _TEXT, "description": CAN_MEANS}
        return self._ref(document)

    def _path(self) -> list[OpenApiParameter]:
        return [OpenApiParameter("id", _ID, "path")] if "{id}" in self.path else []

    def _query(self) -> list[OpenApiParameter]:
        listing: Listing = self.leaf.listing
        if self.action != "list":
            return [OpenApiParameter(wanted.name, wanted.json_schema()) for wanted in self.leaf.query]
        filters = [OpenApiParameter(wanted.name, wanted.json_schema()) for wanted in listing.filters]
        if not listing.paged:
            formats = sorted(self.exports)
            return [*([OpenApiParameter("format", {"type": "string", "enum": formats})] if formats else []), *filters]
        limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT}
        sorts = [sign + name for name in listing.sort_names for sign in ("", "-")]
        return [
            OpenApiParameter("limit", limit),
            OpenApiParameter("continue", _TEXT, description="From the page before"),
            OpenApiParameter("sort", {"type": "string", "enum": sorts, "default": listing.sorts[0]}),
            *filters,
        ]

    def _headers(self) -> list[OpenApiParameter]:
        header: Literal["header"] = "header"
        if self.method == "POST" and hasattr(self.leaf, "once"):
            text = "Sent again with the same key and body within a day, the request gets the first one's answer"
            return [OpenApiParameter("Idempotency-Key", {"type": "string", "maxLength": 255}, header, description=text)]
        if self.method in ("PATCH", "DELETE"):
            text = "The ETag that was read, or * for any version"
            return [OpenApiParameter("If-Match", _TEXT, header, required=True, description=text)]
        return []

    @property
    def action(self) -> str:
        return str(self.leaf.action)

    @property
    def exports(self) -> Mapping[str, str]:
        """Media types by format, of a list that is answered as a file; empty for all others."""
        exports: Mapping[str, str] = getattr(self.leaf, "exports", {})
        return exports

    @property
    def handler(self) -> Any:
        return getattr(self.view, self.action)

    @property
    def is_below_one(self) -> bool:
        """Whether it is a POST of a thing below one row: see ``actions.posted``."""
        return hasattr(self.handler, "body")

    @property
    def plural(self) -> str:
        return _camel(self.leaf.title_of_resource())

    @property
    def singular(self) -> str:
        return self.plural.removesuffix("s")


def _first_paragraph(view: type[Any]) -> str:
    text = inspect.getdoc(sys.modules[view.__module__]) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _tidy(value: Any) -> Any:
    """Without the models' suffix in component names and pydantic's titles for members; code quoted as in CommonMark."""
    if isinstance(value, str):
        return value.replace("``", "`")
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "schemas" in value:
        value = {**value, "schemas": {name.removesuffix(SUFFIX): schema for name, schema in value["schemas"].items()}}
    if isinstance(value.get("$ref"), str):
        value = {**value, "$ref": value["$ref"].removesuffix(SUFFIX)}
    made = isinstance(value.get("title"), str) and ("type" in value or "anyOf" in value or "enum" in value)
    return {name: _tidy(member) for name, member in value.items() if not (made and name == "title")}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
