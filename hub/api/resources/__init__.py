"""One module for each kind of object: its documents, and a viewset of a few lines."""
