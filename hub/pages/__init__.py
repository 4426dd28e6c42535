"""Pages that the hub renders itself: login, one's own account, and what must work before and without the portal.

Both languages, no script, no file from elsewhere. What they do is done by the services below; they speak HTML, and nothing
of the REST API.
"""
