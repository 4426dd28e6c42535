"""``paddock-login``: logs kubectl in to a Paddock hub by the browser. Standard library only, so that it is quick to install
and to start; it knows nothing of the hub's own code.
"""
