"""What the pages say, in each language under the same keys. Parts of the pages have files of their own, put together here.

A key is ``<page>.<what>``; ``error.<code>`` is the text of a HubError, with its parameters.
"""

from collections.abc import Mapping
from typing import Any

from hub.core.errors import HubError

from . import texts_account, texts_base, texts_cli_login, texts_invitations, texts_login, texts_providers

LANGUAGES = ("en", "zh")
_PARTS = (texts_base, texts_login, texts_account, texts_cli_login, texts_invitations, texts_providers)

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {key: text for part in _PARTS for key, text in part.EN.items()},
    "zh": {key: text for part in _PARTS for key, text in part.ZH.items()},
}


def text_of(language: str, key: str, **params: Any) -> str:
    """The text of a key. Raises KeyError for an unknown one, and for a parameter that is not given."""
    return TEXTS[language][key].format(**params)


def error_text(language: str, error: HubError) -> str:
    """What an error says to people; one with ``problems`` says each of them, one without a text of its own its title."""
    problems = error.params.get("problems")
    if problems:
        return " ".join(text_of(language, f"error.{error.code}.{problem}", **error.params) for problem in problems)
    known = TEXTS[language].get(f"error.{error.code}")
    if known is None:
        return text_of(language, "error.unnamed", title=error.title)
    return known.format(**error.params)
