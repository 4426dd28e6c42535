"""Which form of an answer a client takes: JSON, as the object, as a table or as metadata alone."""

from enum import Enum

from aiohttp import web

from simulator.apiserver.status import not_acceptable


class Form(Enum):
    """What is put in the JSON."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


_AS = {
    "Table": Form.TABLE,
    "PartialObjectMetadata": Form.METADATA,
    "PartialObjectMetadataList": Form.METADATA,
}


def wanted_form(request: web.BaseRequest) -> Form:
    """The first form in the Accept header that is served. Raises ApiError 406 when JSON is not accepted at all."""
    header = ",".join(request.headers.getall("Accept", [])) or "*/*"
    for entry in header.split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        if media not in ("application/json", "application/*", "*/*"):
            continue
        told = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in told:
            return Form.OBJECT
        if told.get("g") == "meta.k8s.io" and told.get("v") == "v1" and told["as"] in _AS:
            return _AS[told["as"]]
    raise not_acceptable(["application/json"])
