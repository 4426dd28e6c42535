"""A file that cloud-init places on a node."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from hub.provisioning.bootstrap.checks import BootstrapInvalid, check_text

MAX_CONTENT_BYTES = 256 * 1024
_PERMISSIONS = re.compile(r"0[0-7]{3}")


@dataclass(frozen=True, slots=True)
class NodeFile:
    """Absolute path, text and mode (four octal digits); owned by root. The text may be a secret, so repr hides it."""

    path: str
    content: str = field(repr=False)
    permissions: str = "0600"

    @classmethod
    def of_json(cls, path: str, document: Mapping[str, object]) -> Self:
        """A configuration file. JSON, because YAML parsers read it as it is and leave nothing to guess.

        Characters beyond ASCII stand as themselves: Go's YAML parser refuses the surrogate escapes that ASCII JSON
        needs.
        """
        return cls(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def check(self, pointer: str) -> None:
        """Refuse what cloud-init or a file system would read differently than it looks; raises BootstrapInvalid."""
        check_text(self.path, f"{pointer}/path", ascii_only=True)
        if not self.path.startswith("/") or self.path.startswith("//") or posixpath.normpath(self.path) != self.path:
            raise BootstrapInvalid(f"{pointer}/path", "format", "an absolute path without '.', '..' or '//' is wanted")
        if not isinstance(self.permissions, str) or not _PERMISSIONS.fullmatch(self.permissions):
            raise BootstrapInvalid(f"{pointer}/permissions", "format", 'four octal digits in a text, like "0600"')
        try:
            size = len(self.content.encode())
        except UnicodeEncodeError as error:
            raise BootstrapInvalid(f"{pointer}/content", "format", "the text is not valid Unicode") from error
        if size > MAX_CONTENT_BYTES:
            raise BootstrapInvalid(f"{pointer}/content", "too_long", f"{size} bytes, at most {MAX_CONTENT_BYTES}")
