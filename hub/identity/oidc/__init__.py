"""OpenID Connect, the hub as relying party: what a provider says, checked; the code flow; logging out on both sides.

``token_checks`` and ``metadata`` are pure. ``key_cache`` and ``flow`` ask the provider, by ``hub.core.outbound`` alone.
``sign_on``, ``external_users`` and ``logout`` write rows. Nothing outside this package knows Authlib or joserfc.
"""
