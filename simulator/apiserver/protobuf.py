"""Reads the protobuf bodies that kubectl's own commands send (``create token``, ``auth can-i``, ``create namespace``).

Answers are always JSON, which such clients take as well. Only the messages below are known, with the field numbers that
the Kubernetes API publishes; a body of another kind is refused by name.
"""

import base64
from collections.abc import Iterator
from typing import Any

from kube.resources import Object
from simulator.apiserver.status import bad_request, not_simulated

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

Fields = dict[int, tuple[str, str]]
"""Field number to name and type: text, bytes, number, flag, or a message; ``*`` in front repeats, ``%`` is a map."""

_META: Fields = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    5: ("uid", "text"),
    6: ("resourceVersion", "text"),
    11: ("labels", "%text"),
    12: ("annotations", "%text"),
    13: ("ownerReferences", "*OwnerReference"),
    14: ("finalizers", "*text"),
}
_SUBJECT_REVIEW: Fields = {
    1: ("resourceAttributes", "ResourceAttributes"),
    2: ("nonResourceAttributes", "NonResourceAttributes"),
    3: ("user", "text"),
    4: ("groups", "*text"),
    6: ("uid", "text"),
}
_BINDING: Fields = {1: ("metadata", "ObjectMeta"), 2: ("subjects", "*Subject"), 3: ("roleRef", "RoleRef")}
_ROLE: Fields = {1: ("metadata", "ObjectMeta"), 2: ("rules", "*PolicyRule")}


def _with_spec(spec: str) -> Fields:
    return {1: ("metadata", "ObjectMeta"), 2: ("spec", spec)}


def _texts(*names: str) -> Fields:
    return {number: (name, "text") for number, name in enumerate(names, start=1)}


_MESSAGES: dict[str, Fields] = {
    "ObjectMeta": _META,
    "OwnerReference": {
        1: ("kind", "text"),
        3: ("name", "text"),
        4: ("uid", "text"),
        5: ("apiVersion", "text"),
        6: ("controller", "flag"),
        7: ("blockOwnerDeletion", "flag"),
    },
    "ResourceAttributes": _texts("namespace", "verb", "group", "version", "resource", "subresource", "name"),
    "NonResourceAttributes": _texts("path", "verb"),
    "SelfSubjectAccessReviewSpec": {number: _SUBJECT_REVIEW[number] for number in (1, 2)},
    "SubjectAccessReviewSpec": _SUBJECT_REVIEW,
    "SelfSubjectRulesReviewSpec": _texts("namespace"),
    "TokenReviewSpec": {1: ("token", "text"), 2: ("audiences", "*text")},
    "TokenRequestSpec": {
        1: ("audiences", "*text"),
        3: ("boundObjectRef", "BoundObjectReference"),
        4: ("expirationSeconds", "number"),
    },
    "BoundObjectReference": _texts("kind", "apiVersion", "name", "uid"),
    "NamespaceSpec": {1: ("finalizers", "*text")},
    "PolicyRule": {
        number: (name, "*text")
        for number, (name, _) in _texts("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs").items()
    },
    "Subject": _texts("kind", "apiGroup", "name", "namespace"),
    "RoleRef": _texts("apiGroup", "kind", "name"),
}

_KINDS: dict[str, Fields] = {
    "Namespace": _with_spec("NamespaceSpec"),
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "%text"),
        3: ("binaryData", "%bytes"),
        4: ("immutable", "flag"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "%bytes"),
        3: ("type", "text"),
        4: ("stringData", "%text"),
        5: ("immutable", "flag"),
    },
    "ServiceAccount": {1: ("metadata", "ObjectMeta"), 4: ("automountServiceAccountToken", "flag")},
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "TokenRequest": _with_spec("TokenRequestSpec"),
    "TokenReview": _with_spec("TokenReviewSpec"),
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "SelfSubjectAccessReview": _with_spec("SelfSubjectAccessReviewSpec"),
    "SelfSubjectRulesReview": _with_spec("SelfSubjectRulesReviewSpec"),
    "SubjectAccessReview": _with_spec("SubjectAccessReviewSpec"),
    "LocalSubjectAccessReview": _with_spec("SubjectAccessReviewSpec"),
}


def decode_object(body: bytes) -> Object:
    """The object in a protobuf body. Raises ApiError 400 for what is none, 501 for a kind that is not known here."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is not protobuf as Kubernetes sends it")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        head = {number: value.decode() for number, value in _fields(envelope[1])}
        kind = head[2]
        if kind not in _KINDS:
            raise not_simulated(f"reading {kind[:60]} in protobuf; send JSON")
        return {"apiVersion": head[1], "kind": kind} | _decode(_KINDS[kind], envelope[2])
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise bad_request("the protobuf body cannot be decoded") from error


def _decode(fields: Fields, raw: bytes) -> Object:
    """A message as JSON would have it: fields that carry nothing are left out."""
    decoded: Object = {}
    for number, value in _fields(raw):
        if number not in fields:
            continue
        name, kind = fields[number]
        if kind.startswith("*"):
            decoded.setdefault(name, []).append(_value(kind[1:], value))
        elif kind.startswith("%"):
            entry = dict(_fields(value))
            decoded.setdefault(name, {})[entry[1].decode()] = _value(kind[1:], entry.get(2, b""))
        else:
            found = _value(kind, value)
            if found not in ("", {}):
                decoded[name] = found
    return decoded


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "text":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "flag":
            return bool(value)
        case "number":
            return int(value)
    return _decode(_MESSAGES[kind], value)


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int for a varint, bytes for everything with a length."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(raw, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(raw, at)
            if at + length > len(raw):
                raise ValueError("truncated")
            yield number, raw[at : at + length]
            at += length
        else:
            raise ValueError("no such wire type in these messages")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("number too long")
