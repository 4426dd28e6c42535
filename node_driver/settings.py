"""A driver declares its settings once; schema, validation, defaults and masking follow from the declaration.

The JSON Schema (Draft 2020-12) draws the portal's form and documents the API. validate() obeys the same declaration
and is checked against an independent JSON Schema validator in the tests. Whether what a setting names exists is
check()'s question.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from node_driver.errors import InvalidSettings
from node_driver.types import Problem

MASK = "********"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SIZE_KEYWORDS = {
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == value // 1,
    "number": _is_number,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting of a driver.

    type: a JSON type: string, integer, number, boolean, array, object.
    minimum, maximum: of the number itself; of the length of a string; of the number of items or members.
    pattern: regular expression that the whole string must match, in the subset that Python and ECMA share; no anchors.
    items: what an array's elements look like. members: what an object's members look like; None allows any.
    secret: never shown again, masked, and named in no message.
    """

    name: str
    type: str
    title: str
    description: str = ""
    default: Any = None
    required: bool = False
    secret: bool = False
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] | None = None
    items: Setting | None = None
    members: SettingsSchema | None = None

    def json_schema(self) -> dict[str, Any]:
        """This setting as a JSON Schema."""
        schema: dict[str, Any] = {"type": self.type, "title": self.title}
        lowest, highest = _SIZE_KEYWORDS.get(self.type, ("", ""))
        optional = {
            "description": self.description or None,
            "default": copy.deepcopy(self.default),
            lowest: self.minimum,
            highest: self.maximum,
            "pattern": f"^(?:{self.pattern})$" if self.pattern else None,
            "enum": list(self.enum) if self.enum else None,
            "items": self.items.json_schema() if self.items else None,
        }
        schema.update({key: value for key, value in optional.items() if value is not None})
        if self.members:
            schema.update(self.members.object_schema())
        if self.secret:
            schema.update({"writeOnly": True, "x-secret": True})
        return schema

    def read(self, value: Any, pointer: str, problems: list[Problem]) -> Any:
        """The value with nested defaults filled in; what is wrong with it is appended to problems."""
        if not _TYPE_CHECKS[self.type](value):
            problems.append(Problem(pointer, "type", f"must be of type {self.type}"))
            return value
        self._check_size(value, pointer, problems)
        if self.pattern and not re.fullmatch(self.pattern, value):
            problems.append(Problem(pointer, "pattern", f"must match {self.pattern}"))
        if self.enum and value not in self.enum:
            problems.append(Problem(pointer, "enum", f"must be one of {', '.join(self.enum)}"))
        if self.type == "integer":
            return int(value)
        if self.items:
            return [self.items.read(item, f"{pointer}/{index}", problems) for index, item in enumerate(value)]
        if self.members:
            return self.members.read(value, pointer, problems)
        return copy.deepcopy(value)

    def _check_size(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        size = value if _is_number(value) or isinstance(value, bool) else len(value)
        unit = {"string": " characters", "array": " items", "object": " members"}.get(self.type, "")
        if self.minimum is not None and size < self.minimum:
            problems.append(Problem(pointer, "minimum", f"must be at least {self.minimum}{unit}"))
        if self.maximum is not None and size > self.maximum:
            problems.append(Problem(pointer, "maximum", f"must be at most {self.maximum}{unit}"))

    def mask(self, value: Any) -> Any:
        """The value with every secret in it replaced by MASK."""
        if self.secret:
            return MASK
        if self.items and isinstance(value, list):
            return [self.items.mask(item) for item in value]
        if self.members and isinstance(value, dict):
            return self.members.mask(value)
        return value


class SettingsSchema:
    """The settings of a driver, or the members of an object setting. Names are unique; unknown members are refused."""

    def __init__(self, *settings: Setting) -> None:
        self.settings: Mapping[str, Setting] = {setting.name: setting for setting in settings}
        if len(self.settings) != len(settings):
            raise ValueError("two settings have the same name")

    def json_schema(self) -> dict[str, Any]:
        """The whole as a JSON Schema document, Draft 2020-12."""
        return {"$schema": DIALECT, "type": "object", **self.object_schema()}

    def object_schema(self) -> dict[str, Any]:
        """The keywords that describe these members inside a schema of type object."""
        return {
            "properties": {name: setting.json_schema() for name, setting in self.settings.items()},
            "required": [name for name, setting in self.settings.items() if setting.required],
            "additionalProperties": False,
        }

    def validate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A deep copy of the values with defaults filled in. Raises InvalidSettings with every problem found."""
        problems: list[Problem] = []
        if not isinstance(values, Mapping):
            raise InvalidSettings([Problem("", "type", "must be of type object")])
        complete = self.read(values, "", problems)
        if problems:
            raise InvalidSettings(problems)
        return complete

    def read(self, values: Mapping[str, Any], pointer: str, problems: list[Problem]) -> dict[str, Any]:
        """See Setting.read. Defaults are not checked: they are the driver's own."""
        complete: dict[str, Any] = {}
        for name in values:
            if name not in self.settings:
                problems.append(Problem(f"{pointer}/{_escape(name)}", "unknown", "is not a setting of this driver"))
        for name, setting in self.settings.items():
            if name in values:
                complete[name] = setting.read(values[name], f"{pointer}/{name}", problems)
            elif setting.required:
                problems.append(Problem(f"{pointer}/{name}", "required", "is required"))
            elif setting.default is not None:
                complete[name] = copy.deepcopy(setting.default)
        return complete

    def mask(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values to show: secrets replaced by MASK, values of unknown settings too."""
        return {
            name: self.settings[name].mask(value) if name in self.settings else MASK for name, value in values.items()
        }


def _escape(name: object) -> str:
    """A member name as one step of a JSON pointer (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")
