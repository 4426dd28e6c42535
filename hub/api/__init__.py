"""The REST API: HTTP in, services and narrowed querysets behind it, problem documents out. It decides nothing itself."""
