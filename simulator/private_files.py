"""Files with keys, tokens and kubeconfigs: for their owner alone, and never half written."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step; nobody but its owner can read it, nor enter the folders that had to be made."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    scratch.replace(path)
