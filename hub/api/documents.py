"""What bodies look like, as typed models: what clients may send (``Body``) and what they are shown (``Shown``).

A ``Body`` is read strictly: unknown members are refused (SEC-42) and nothing is coerced, so "5" is no number. Each fault
becomes an error with pointer, code and parameters; what was sent is never repeated. The same models make the OpenAPI file.
"""

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from hub.core.errors import HubError, define
from hub.operations.models import Operation, State

from .json_body import pointer_to

FAULTS_LIMIT = 100
TEXT_LIMIT = 253

define("field.required", 400, "This member is required")
define("field.unknown", 400, "There is no such member")
define("field.type", 400, "The value is not of the right type")
define("field.length", 400, "The value is too long or too short")
define("field.range", 400, "The number is out of range")
define("field.choice", 400, "The value is none of those that are taken")
define("field.format", 400, "The value is not written as it should be")

# pydantic's error types are many; programs need to tell apart a few. The longest prefix decides.
_CODES: Mapping[str, str] = {
    "missing": "field.required",
    "extra_forbidden": "field.unknown",
    "literal_error": "field.choice",
    "string_too": "field.length",
    "too_": "field.length",
    "greater_than": "field.range",
    "less_than": "field.range",
    "string_pattern": "field.format",
    "value_error": "field.format",
}
_TYPES: Mapping[str, str] = {
    "string": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "model": "object",
    "mapping": "object",
}
CAN = "can"
CAN_MEANS = (
    "What the caller may do with this object, by the verbs of its kind: his roles, narrowed by his token. `list` and `create` "
    "are about others like it in the same place."
)
"""Every object is shown with this member; the wall adds it (TEN14)."""

_PLAIN = (str, int, float, bool)
_KEY_MARK = "[key]"


def _parse_id(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        raise ValueError("an id is a string")
    return UUID(value)


def _parse_moment(value: object) -> datetime.datetime:
    if not isinstance(value, str | datetime.datetime):
        raise ValueError("a time is a string")
    at = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    if at.tzinfo is None:
        raise ValueError("a time has its offset")
    return at


Id = Annotated[UUID, BeforeValidator(_parse_id)]
Moment = Annotated[datetime.datetime, BeforeValidator(_parse_moment)]
"""RFC 3339, with the offset from UTC."""
Text = Annotated[str, StringConstraints(max_length=TEXT_LIMIT)]
LongText = Annotated[str, StringConstraints(max_length=8192)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LIMIT)]
Labels = Annotated[dict[str, Text], Field(max_length=64)]

Related = BeforeValidator(lambda manager: list(manager.all()))
"""Marks a list that is read from a row's related manager."""


class Body(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Shown(BaseModel):
    """What a client is shown; attributes of rows are read under the field's name or its alias."""

    model_config = ConfigDict(from_attributes=True, frozen=True, serialize_by_alias=False)

    @classmethod
    def of(cls, source: Any) -> Self:
        """The document of a row. Leaves override it where it is more than reading attributes."""
        return cls.model_validate(source)


class RecordShown(Shown):
    """What every object has. ``version`` is also its entity tag."""

    id: UUID
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime


class ConditionShown(Shown):
    """One thing that is true of an object or not, with the reason; the shape is Kubernetes'."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    params: dict[str, Any]
    last_transition: datetime.datetime


class FaultShown(Shown):
    """One fault with its place in the body, a JSON pointer."""

    pointer: str
    code: str
    params: dict[str, Any]
    detail: str


class ProblemShown(Shown):
    """An error (RFC 9457). ``code`` and ``params`` are for programs, ``title`` and ``detail`` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    params: dict[str, Any]
    errors: list[FaultShown]
    request_id: str


class Named(Shown):
    """Somebody or something by kind, id and name; it may be gone."""

    kind: str
    id: UUID | None
    name: str


class StepShown(Shown):
    """One step of an operation."""

    name: str
    state: Literal["pending", "running", "succeeded", "failed", "skipped"]
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    message: str


class OperationShown(RecordShown):
    """Long work: what it is about, how far it is, and how it ended."""

    kind: str
    state: State
    target: Named
    tenant: UUID | None
    project: UUID | None
    actor: Named
    steps: list[StepShown]
    progress: int
    error: dict[str, Any] | None
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None

    @classmethod
    def of(cls, source: Operation) -> Self:
        return cls(
            id=source.pk,
            version=source.version,
            created_at=source.created_at,
            updated_at=source.updated_at,
            kind=source.kind,
            state=State(source.state),
            target=Named(kind=source.target_kind, id=source.target_id, name=source.target_name),
            tenant=source.tenant_id,
            project=source.project_id,
            actor=Named(kind=source.actor_kind, id=source.actor_id, name=source.actor_name),
            steps=[StepShown.of(step) for step in source.steps],
            progress=source.progress,
            error=source.error,
            started_at=source.started_at,
            finished_at=source.finished_at,
        )


BodyT = TypeVar("BodyT", bound=Body)


def read_body(model: type[BodyT], document: object) -> BodyT:
    """The document as the model. Raises HubError ``request.invalid`` whose causes are all that is wrong with it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:FAULTS_LIMIT]
        raise HubError("request.invalid", causes=[_fault(detail) for detail in details]) from None


def _fault(detail: ErrorDetails) -> HubError:
    pointer = ""
    for part in detail["loc"]:
        pointer = pointer if part == _KEY_MARK else pointer_to(pointer, part)
    return HubError(_code(detail["type"]), pointer=pointer, **dict(_params(detail)))


def _code(kind: str) -> str:
    return next((code for prefix, code in _CODES.items() if kind.startswith(prefix)), "field.type")


def _params(detail: ErrorDetails) -> Iterator[tuple[str, Any]]:
    """The limits that were broken; the type that is wanted. Whatever else pydantic knows stays inside."""
    if _code(detail["type"]) == "field.type":
        wanted = next((name for prefix, name in _TYPES.items() if detail["type"].startswith(prefix)), None)
        if wanted is not None:
            yield "wanted", wanted
        return
    for name, value in detail.get("ctx", {}).items():
        if isinstance(value, _PLAIN) and name != "error":
            yield name, value
