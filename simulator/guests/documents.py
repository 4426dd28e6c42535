"""The YAML documents that a machine reads: user data, network data, configuration files."""

from typing import Any

from kube.strict_yaml import RefusedYaml, load_strict

_MAX_BYTES = 4 * 1024 * 1024


def load_mapping(text: str, what: str) -> dict[str, Any]:
    """The mapping that `text` holds; an empty document is an empty mapping.

    Duplicate keys are refused: cloud-init and K3s let the last one win in silence, and a stage that is to show mistakes
    names them. Raises ValueError, naming `what`, also for broken YAML and for documents that are not a mapping.
    """
    try:
        value = load_strict(text, max_bytes=_MAX_BYTES)
    except RefusedYaml as error:
        raise ValueError(f"{what}: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{what}: must be a mapping, not {type(value).__name__}")
    odd = [key for key in value if not isinstance(key, str)]
    if odd:
        raise ValueError(f"{what}: keys must be strings, not {odd[0]!r}")
    return value
