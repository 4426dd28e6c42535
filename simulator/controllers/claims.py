"""The claims that a machine's annotation describes: each one that is missing is made.

Plays Harvester's `CreatePVCsFromAnnotation` (contract harvester-vm §2.2). Binding them is `volumes.py`'s part.
"""

import json
import logging
from typing import Any

from kube.errors import Invalid
from kube.quantity import parse_quantity
from kube.resources import PERSISTENT_VOLUME_CLAIMS, Object
from simulator.controllers.objects import ObjectWriter

CLAIM_TEMPLATES = "harvesterhci.io/volumeClaimTemplates"
_log = logging.getLogger(__name__)


async def ensure_claims(writer: ObjectWriter, vm: Object) -> None:
    """Makes the missing claims, and asks for more storage where the annotation does. They have no owner, as in life."""
    namespace = vm["metadata"]["namespace"]
    for template in read_claim_templates(vm):
        claim = {"metadata": {**template["metadata"], "namespace": namespace}, "spec": template.get("spec", {})}
        try:
            created = await writer.ensure(PERSISTENT_VOLUME_CLAIMS, claim)
        except Invalid as error:
            _log.warning("%s/%s: claim template refused: %s", namespace, vm["metadata"]["name"], error)
            continue
        if not created:
            await _grow(writer, claim)


async def _grow(writer: ObjectWriter, wanted: Object) -> None:
    metadata = wanted["metadata"]
    claim = await writer.find(PERSISTENT_VOLUME_CLAIMS, metadata["name"], metadata["namespace"])
    if claim is None:
        return
    asked, given = _storage(wanted), _storage(claim)
    if asked and given and parse_quantity(asked) > parse_quantity(given):
        change = {"spec": {"resources": {"requests": {"storage": asked}}}}
        await writer.patch(PERSISTENT_VOLUME_CLAIMS, claim, change)


def read_claim_templates(vm: Object) -> list[dict[str, Any]]:
    """The annotation's entries that name a claim; an annotation that is not a JSON list counts as empty."""
    text = (vm["metadata"].get("annotations") or {}).get(CLAIM_TEMPLATES) or "[]"
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        _log.warning("%s/%s: %s is not JSON", vm["metadata"]["namespace"], vm["metadata"]["name"], CLAIM_TEMPLATES)
        return []
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and (entry.get("metadata") or {}).get("name")]


def _storage(claim: Object) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", ""))
