"""System checks: what must hold for every model of the hub, found at start and in tests rather than in production."""

import re
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, register
from django.db.models import BinaryField, CharField, JSONField, Model, TextField

from .sealed import SealedText
from .work import reconciled_models

# Named like a secret, but each is a digest, a name, or public.
HARMLESS_SUFFIXES = ("_hash", "_id", "_at", "_expires_at", "_name", "_count", "_prefix")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|private_key|key_pem|kubeconfig|credential|credentials|pki|passphrase|canary)(?:_|$)"
)


@register("paddock")
def check_due_indexes(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """A Meta that forgets to inherit loses the index the poller lives on."""
    return [
        Error(
            f"{model.__name__}.Meta must inherit Reconciled.Meta: the index of due rows is missing.",
            obj=model,
            id="paddock.E001",
        )
        for model in reconciled_models()
        if not any(index.name == f"{model.object_kind}_due" for index in model._meta.indexes)
    ]


@register("paddock")
def check_secrets_are_sealed(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """A new column named like a secret is of the encrypted type, or says by its name that it is none."""
    return [
        Error(
            f"{model.__name__}.{name} is named like a secret but is stored in clear; use SealedText.",
            obj=model,
            id="paddock.E002",
        )
        for model in apps.get_models()
        for name in clear_secret_fields(model)
    ]


def clear_secret_fields(model: type[Model]) -> list[str]:
    """Names of text-like columns that look like a secret and are not encrypted."""
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField | JSONField | BinaryField)
        and not isinstance(field, SealedText)
        and _SECRET_NAME.search(field.name)
        and not field.name.endswith(HARMLESS_SUFFIXES)
        and not getattr(field, "is_digest", False)
    ]
