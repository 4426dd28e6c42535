"""Pages that the server renders itself, in both languages: login, account, device approval, invitations, provider tests."""
