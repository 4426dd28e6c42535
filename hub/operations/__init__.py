"""Long work that a client can watch: its steps, progress, log lines and end."""
