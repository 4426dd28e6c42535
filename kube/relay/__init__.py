"""What a proxy in front of Kubernetes API servers needs: strict HTTP/1.1 heads, body framing, request attributes, a pool.

Who may do what, and as whom, is decided above (``hub.stream``); nothing here knows users.
"""
