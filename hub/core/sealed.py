"""Secrets at rest: a text column whose value is encrypted for exactly one place in the database.

AES-256-GCM with the associated data ``table|column|row id|tenant id``, so a ciphertext pasted into another row,
column or tenant does not open. Stored as ``v1.<key id>.<base64url(nonce + ciphertext)>`` by ``hub.core.keys``: the
first key of the keys file writes, all of them read. Moving rows to a new key is the command ``rekey``.

A model attribute of this type is a ``Sealed``: it never shows its text by itself; ``reveal()`` does.
"""

from typing import TYPE_CHECKING, Any, NoReturn

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from .keys import key_ring

if TYPE_CHECKING:
    TextField = models.TextField[Any, "Sealed"]
else:
    TextField = models.TextField  # generic for the type checker only

MASK = "***"


class Ciphertext(str):
    """A sealed value as the column holds it; safe to show."""

    __slots__ = ()


class _Plaintext:
    """A text not yet written; hidden from ``vars()`` and tracebacks."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return MASK


class Sealed:
    """The secret of one field of one row. Falsy when there is none; shows as ``***`` wherever it lands."""

    __slots__ = ("_field", "_raw", "_row")

    def __init__(self, row: models.Model, field: "SealedText", raw: Ciphertext | _Plaintext) -> None:
        self._row = row
        self._field = field
        self._raw = raw

    @property
    def is_stored(self) -> bool:
        """Whether this is what the column holds, rather than a text assigned since."""
        return isinstance(self._raw, Ciphertext)

    def reveal(self) -> str:
        """The text; "" when there is none. Raises HubError ``secret.unreadable``."""
        if isinstance(self._raw, _Plaintext):
            return self._raw.text
        return key_ring().open(self._raw, self._field.context(self._row)) if self._raw else ""

    def token(self) -> Ciphertext:
        """What the column holds: the stored ciphertext, or the new text sealed for this row."""
        if isinstance(self._raw, Ciphertext):
            return self._raw
        if not self._raw.text:
            return Ciphertext("")
        return Ciphertext(key_ring().seal(self._raw.text, self._field.context(self._row)))

    def __bool__(self) -> bool:
        return bool(self._raw.text if isinstance(self._raw, _Plaintext) else self._raw)

    def __repr__(self) -> str:
        return MASK if self else "''"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealed value is not pickled")


class _SealedAttribute(DeferredAttribute):
    """Wraps what the row holds on reading, and tells a new text from a stored ciphertext on assignment."""

    field: "SealedText"

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        raw = super().__get__(instance, cls)
        return raw if instance is None else Sealed(instance, self.field, raw)

    def __set__(self, instance: models.Model, value: object) -> None:
        instance.__dict__[self.field.attname] = self._raw(instance, value)

    def _raw(self, instance: models.Model, value: object) -> Ciphertext | _Plaintext:
        if isinstance(value, Sealed):
            same_place = value._field is self.field and value._row.pk == instance.pk
            return value._raw if same_place else _Plaintext(value.reveal())
        if isinstance(value, Ciphertext):
            return value
        if isinstance(value, str):
            return _Plaintext(value)
        raise TypeError(f"{self.field.name} takes text, not {type(value).__name__}")


class SealedText(TextField):
    """A text column encrypted for its row; the empty text means "none" and stays empty."""

    description = "Encrypted text"
    descriptor_class = _SealedAttribute

    def context(self, row: models.Model) -> str:
        """The associated data that binds a value to its place."""
        tenant = getattr(row, "owning_tenant_id", None)
        return f"{self.model._meta.db_table}|{self.column}|{row.pk}|{tenant or ''}"

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Ciphertext | None:
        return None if value is None else Ciphertext(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            return str.__str__(value.token())
        if isinstance(value, Ciphertext) or value in ("", None):
            return value
        raise TypeError(f"{self.name}: a sealed column is written through its row, never as bare text")

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
