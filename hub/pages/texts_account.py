"""Texts of one's own account."""

EN = {
    "account.title": "Account",
}
ZH = {
    "account.title": "账号",
}
