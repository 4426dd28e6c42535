"""Member clusters: importing, registering and probing them, and the namespaces that projects have in them."""
