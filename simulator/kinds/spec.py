"""What the simulator knows of one kind: one row of the kind table.

A row holds wire facts only. How they are served is ``simulator.apiserver``'s, how objects come to life is
``simulator.controllers``'.
"""

from dataclasses import dataclass
from typing import Literal

from kube.resources import Resource
from simulator.kinds.schema import Schema

NameRule = Literal["subdomain", "label", "service", "path"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``, as in ``additionalPrinterColumns``; priority 1 is shown by ``-o wide`` alone."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True, eq=False)
class KindSpec:
    """One served kind.

    ``schema`` describes the object without apiVersion, kind and metadata. A kind is built in (``builtin``) when a bare
    kube-apiserver has it; every other kind becomes a CRD (``build_crds``). ``status``: the kind has the status
    subresource, so that status in ordinary writes is dropped and the other way round. ``actions`` are further
    subresources that the API server itself answers. ``counts_generation``: metadata.generation follows the desired
    state. ``selectable`` are the paths that a field selector may name besides name and namespace. ``transient`` kinds
    are answered, never stored (access reviews). ``refuses_writes`` says what clients would have to have for writing.
    """

    resource: Resource
    schema: Schema
    builtin: bool = False
    status: bool = False
    actions: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = (AGE,)
    counts_generation: bool = True
    selectable: tuple[str, ...] = ()
    name_rule: NameRule = "subdomain"
    returns_deleted: bool = False
    transient: bool = False
    refuses_writes: str = ""

    @property
    def singular(self) -> str:
        """The lower-case singular name that kubectl also takes."""
        return "" if self.transient else self.resource.kind.lower()

    @property
    def list_kind(self) -> str:
        """The kind of a list of these."""
        return f"{self.resource.kind}List"

    @property
    def verbs(self) -> tuple[str, ...]:
        """What discovery tells of the kind."""
        if self.transient:
            return ("create",)
        reads = ("get", "list", "watch")
        if self.refuses_writes:
            return reads
        return ("create", "delete", "deletecollection", *reads[:2], "patch", "update", "watch")

    @property
    def key(self) -> str:
        """``plural.group``, as CRDs are named; just the plural in the core group."""
        return f"{self.resource.plural}.{self.resource.group}" if self.resource.group else self.resource.plural
