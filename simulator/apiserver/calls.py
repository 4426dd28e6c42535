"""One request on its way through the server: what was asked, by whom, and the body in the form it came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml
from aiohttp import web

from kube.resources import Object
from simulator.apiserver import protobuf, status
from simulator.apiserver.identity import User
from simulator.apiserver.requests import RequestInfo, is_true

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as a real API server's default."""

_BODY_TYPES = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_MANAGER_LIMIT = 128


@dataclass(slots=True)
class Call:
    """A request after authentication. ``warnings`` become ``Warning`` headers of the answer."""

    request: web.BaseRequest
    info: RequestInfo
    user: User
    query: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters; JSON when nothing is said."""
        header = self.request.headers.get("Content-Type", "application/json")
        return header.partition(";")[0].strip().lower()

    @property
    def manager(self) -> str:
        """The field manager: as asked, else the name of the client program."""
        given = self.query.get("fieldManager", "")
        if len(given) > _MANAGER_LIMIT:
            message = f"Too long: may not be more than {_MANAGER_LIMIT} bytes"
            raise status.invalid_option(self.request.method, "fieldManager", "FieldValueTooLong", message)
        if not given.isprintable():
            message = "Invalid value: should only contain printable characters"
            raise status.invalid_option(self.request.method, "fieldManager", "FieldValueInvalid", message)
        program = self.request.headers.get("User-Agent", "").partition("/")[0]
        return given or program[:_MANAGER_LIMIT] or "unknown"

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be stored. Raises ApiError 422 for another value than ``All``."""
        asked = self.query.get("dryRun", "")
        if asked not in ("", "All"):
            message = f'Unsupported value: "{asked[:40]}": supported values: "All"'
            raise status.invalid_option(self.request.method, "dryRun", "FieldValueNotSupported", message)
        return asked == "All"

    def asks(self, name: str) -> bool:
        """A boolean query parameter."""
        return is_true(self.query, name)

    async def body(self) -> bytes:
        """The whole body. Raises ApiError 413 beyond ``BODY_LIMIT``."""
        collected = bytearray()
        async for chunk in self.request.content.iter_any():
            collected += chunk
            if len(collected) > BODY_LIMIT:
                raise status.too_large(BODY_LIMIT)
        return bytes(collected)

    async def json_body(self) -> Object:
        """A body that is one object in JSON, YAML or protobuf. Raises ApiError 400, 415, and 501 (see ``protobuf``)."""
        if self.content_type not in _BODY_TYPES:
            raise status.unsupported_media_type(_BODY_TYPES)
        decoded = self.decode(await self.body())
        if not isinstance(decoded, dict):
            raise status.bad_request("the body must be one object")
        return decoded

    def decode(self, raw: bytes) -> Any:
        """The body's value by its media type. Raises ApiError 400."""
        try:
            if self.content_type == protobuf.MEDIA_TYPE:
                return protobuf.decode_object(raw)
            if "yaml" in self.content_type:
                return yaml.safe_load(raw)
            return orjson.loads(raw)
        except (ValueError, yaml.YAMLError) as error:
            raise status.bad_request(f"the body cannot be decoded: {str(error)[:200]}") from error


def json_response(body: Any, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    """An answer in JSON; warnings become headers as RFC 7234 has them."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    response = web.Response(body=raw, status=code, content_type="application/json")
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in warnings or ():
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def error_response(error: status.ApiError) -> web.Response:
    """The ``Status`` of a refusal."""
    response = json_response(error.body(), error.code)
    response.headers.update(error.headers)
    return response
