"""One module for each kind of object: its documents, and a viewset of a few lines.

To add one: its row in ``hub/access/permissions.py``, a module here, a line in ``hub/api/urls.py``, its lines in
``tests/hub/api/test_matrix.py``; then run ``tools/openapi.py``.
"""
