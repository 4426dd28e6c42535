"""What the pages' templates can say: texts in the page's language, times, and the parts that every form has."""

import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html

from hub.pages.texts import text_of

register = template.Library()


@register.simple_tag(takes_context=True)
def text(context: template.Context, key: str, **params: Any) -> str:
    """``{% text "login.with" provider=name %}``, escaped like any value. Raises KeyError for a key that no language has."""
    return text_of(context["language"], key, **params)


@register.simple_tag(takes_context=True)
def ago(context: template.Context, moment: datetime.datetime) -> str:
    """How long ago it was, in one unit."""
    minutes = int((timezone.now() - moment).total_seconds() // 60)
    for unit, size in (("days", 24 * 60), ("hours", 60), ("minutes", 1)):
        if minutes >= size:
            return text_of(context["language"], f"time.{unit}", count=minutes // size)
    return text_of(context["language"], "time.now")


@register.simple_tag(takes_context=True)
def form_proof(context: template.Context) -> str:
    """The hidden field by which a form shows that it comes from this page."""
    return format_html('<input type="hidden" name="csrf" value="{}">', context["csrf"])


@register.inclusion_tag("pages/field.html", takes_context=True)
def field(
    context: template.Context,
    name: str,
    label: str,
    *,
    kind: str = "text",
    autocomplete: str = "off",
    value: str = "",
    hint: str = "",
    style: str = "",
    first: bool = False,
) -> dict[str, Any]:
    """One input with its label, its hint and what is wrong with it (``faults`` of the page). ``label`` and ``hint`` are keys
    of texts. The focus goes to the ``first`` one, or to the first that is wrong.
    """
    language = context["language"]
    faults: dict[str, str] = context.get("faults") or {}
    fault = faults.get(name, "")
    return {
        "name": name,
        "label": text_of(language, label),
        "kind": kind,
        "autocomplete": autocomplete,
        "value": value,
        "hint": text_of(language, hint) if hint else "",
        "style": style,
        "fault": fault,
        "focus": bool(fault) or (first and not any(faults)),
    }
