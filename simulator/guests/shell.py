"""The few shell forms that user data is made of: simple commands joined by `&&`, `;`, newlines and pipes.

Only splitting is done here; what a command means to a simulated machine is `commands.py`'s part. Control flow
(if, for, functions) is not understood, and said so.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.guests.cloud_init import Command

_SEPARATORS = frozenset({"&&", ";", "||", "&", "\n"})
_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/bash"})
_CONTROL_FLOW = frozenset({"if", "for", "while", "until", "case", "function", "{", "("})
_REDIRECTION = re.compile(r"\d*>{1,2}\s*(?P<target>&\d|[^\s;&|]+)")


class ShellRefused(ValueError):
    """The text uses shell syntax that the simulator does not follow."""


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One command with the variables set for it alone; `source` is the command whose output is piped into it."""

    environment: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    source: "SimpleCommand | None" = None

    def __str__(self) -> str:
        return shlex.join(self.arguments)


def split_command(command: Command) -> list[SimpleCommand]:
    """The simple commands of one `runcmd` entry, in order. Raises ShellRefused."""
    if isinstance(command, tuple):
        inner = _script_of(command)
        return split_script(inner) if inner is not None else [_simple(list(command))]
    return split_script(command)


def split_script(text: str) -> list[SimpleCommand]:
    """The simple commands of a shell script, comments left out."""
    commands: list[SimpleCommand] = []
    words: list[str] = []
    source: SimpleCommand | None = None
    for word in [*_tokens(text), "\n"]:
        if word == "|":
            source, words = _simple(words, source), []
        elif word in _SEPARATORS:
            if words:
                commands += _unwrapped(_simple(words, source))
            source, words = None, []
        else:
            words.append(word)
    return commands


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(_without_redirections(line), posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        try:
            tokens += [*lexer, "\n"]
        except ValueError as error:
            raise ShellRefused(f"{line.strip()[:60]!r}: {error}") from error
    return tokens


def _without_redirections(line: str) -> str:
    """Output that is thrown away or joined is of no account; output into a file would be a file not written."""
    for match in _REDIRECTION.finditer(line):
        if match["target"] != "/dev/null" and not match["target"].startswith("&"):
            raise ShellRefused(f"writing {match['target']} by redirection is not simulated, use write_files")
    return _REDIRECTION.sub("", line)


def _simple(words: list[str], source: SimpleCommand | None = None) -> SimpleCommand:
    environment: list[tuple[str, str]] = []
    rest = list(words)
    while rest and rest[0].partition("=")[1] and rest[0].partition("=")[0].isidentifier():
        name, _, value = rest.pop(0).partition("=")
        environment.append((name, value))
    if rest and rest[0] in _CONTROL_FLOW:
        raise ShellRefused(f"shell control flow is not simulated: {' '.join(rest)[:60]!r}")
    if rest and rest[0] in ("sudo", "env"):
        inner = _simple(rest[1:], source)
        return SimpleCommand((*environment, *inner.environment), inner.arguments, source)
    return SimpleCommand(tuple(environment), tuple(rest), source)


def _unwrapped(command: SimpleCommand) -> list[SimpleCommand]:
    inner = _script_of(command.arguments)
    return [command] if inner is None else split_script(inner)


def _script_of(arguments: tuple[str, ...]) -> str | None:
    """The script of `sh -c SCRIPT`."""
    if len(arguments) >= 3 and arguments[0] in _SHELLS and arguments[1].startswith("-") and arguments[1].endswith("c"):
        return arguments[2]
    return None


def script_path(arguments: Sequence[str]) -> str | None:
    """The file that `sh FILE` or `FILE` runs."""
    if arguments and arguments[0] in _SHELLS:
        files = [argument for argument in arguments[1:] if not argument.startswith("-")]
        return files[0] if files else None
    return arguments[0] if arguments and arguments[0].startswith("/") else None
