"""Label selectors (equality and set based) and field selectors: parsing, and matching against objects."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kube.names import is_label_key, is_label_value
from kube.resources import Object
from simulator.apiserver.status import bad_request
from simulator.kinds import KindSpec

Matcher = Callable[[Object], bool]

_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARE = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>[^=!<>\s]*)")
_EXISTS = re.compile(r"(?P<not>!?)\s*(?P<key>[^=!<>\s(),]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector; all terms must hold."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case ">" | "<":
                return self._compares(value)
        raise AssertionError(self.operator)

    def _compares(self, value: str | None) -> bool:
        try:
            number = int(value or "")
        except ValueError:
            return False
        bound = int(next(iter(self.values)))
        return number > bound if self.operator == ">" else number < bound


def parse_labels(selector: str) -> list[Requirement]:
    """The terms of a label selector. Raises ApiError 400 for one that does not parse."""
    return [_parse_label_term(term) for term in _split(selector)]


def match_labels(selector: str) -> Matcher | None:
    """A test of an object's labels, None when the selector is empty. Raises ApiError 400."""
    terms = parse_labels(selector)
    if not terms:
        return None

    def matches(obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(term.holds(labels) for term in terms)

    return matches


def parse_fields(selector: str, kind: KindSpec) -> list[tuple[str, bool, str]]:
    """The terms of a field selector: path, equal or not, value. Raises ApiError 400, also for paths not selectable."""
    terms = []
    for term in filter(None, (part.strip() for part in selector.split(","))):
        match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", term)
        if match is None:
            raise bad_request(f"invalid selector: '{selector}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if path not in _selectable(kind):
            raise bad_request(f"field label not supported: {path}")
        terms.append((path, operator != "!=", value))
    return terms


def match_fields(selector: str, kind: KindSpec) -> Matcher | None:
    """A test of an object's fields, None when the selector is empty. Raises ApiError 400."""
    terms = parse_fields(selector, kind)
    if not terms:
        return None

    def matches(obj: Object) -> bool:
        return all((field_text(obj, path) == value) is equal for path, equal, value in terms)

    return matches


def field_text(obj: Object, path: str) -> str:
    """A field as selectors see it: "" when absent, true and false for booleans."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _selectable(kind: KindSpec) -> tuple[str, ...]:
    namespace = ("metadata.namespace",) if kind.resource.namespaced else ()
    return ("metadata.name", *namespace, *kind.selectable)


def _split(selector: str) -> list[str]:
    """Terms between commas that stand outside parentheses."""
    terms = re.split(r",(?![^()]*\))", selector)
    return [term.strip() for term in terms if term.strip()]


def _parse_label_term(term: str) -> Requirement:
    if match := _SET.fullmatch(term):
        values = [value.strip() for value in match["values"].split(",")]
        return _checked(Requirement(match["key"], match["operator"], frozenset(values)))
    if match := _COMPARE.fullmatch(term):
        operator = {"=": "in", "==": "in", "!=": "notin"}.get(match["operator"], match["operator"])
        return _checked(Requirement(match["key"], operator, frozenset([match["value"]])))
    if match := _EXISTS.fullmatch(term):
        return _checked(Requirement(match["key"], match["not"] or "exists", frozenset()))
    raise bad_request(f"unable to parse requirement: {term!r}")


def _checked(requirement: Requirement) -> Requirement:
    if not is_label_key(requirement.key):
        raise bad_request(f"unable to parse requirement: {requirement.key!r} is no label key")
    if requirement.operator in "<>":
        if not all(value.lstrip("-").isdigit() for value in requirement.values):
            raise bad_request("unable to parse requirement: > and < compare whole numbers")
    elif not all(is_label_value(value) for value in requirement.values):
        raise bad_request(f"unable to parse requirement: no label of {requirement.key!r} can have that value")
    return requirement
