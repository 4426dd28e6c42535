"""Texts of logging in and out."""

EN = {
    "login.title": "Log in",
}
ZH = {
    "login.title": "登录",
}
