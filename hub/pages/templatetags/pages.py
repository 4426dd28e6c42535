"""``{% text "login.title" %}``: the text of this key in the page's language; ``{% form_proof %}``: what each form carries."""

from typing import Any

from django import template
from django.utils.html import format_html

from hub.pages.texts import text_of

register = template.Library()


@register.simple_tag(takes_context=True)
def text(context: template.Context, key: str, **params: Any) -> str:
    """The text, escaped like any other value. Raises KeyError for a key that no language has."""
    return text_of(context["language"], key, **params)


@register.simple_tag(takes_context=True)
def form_proof(context: template.Context) -> str:
    """The hidden field by which a form shows that it comes from this page."""
    return format_html('<input type="hidden" name="csrf" value="{}">', context["csrf"])
