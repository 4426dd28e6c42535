"""Every address of a page."""

from django.urls import URLPattern, URLResolver, path

from . import account, cli_login, invitations, login, provider_logout, provider_tests, providers
from .style import style

urlpatterns: list[URLPattern | URLResolver] = [
    path("pages/style.css", style, name="style"),
    path("login", login.login, name="login"),
    path("login/second-factor", login.second_factor, name="login-second-factor"),
    path("login/link/<str:text>", login.link, name="login-link"),
    path("logout", login.logout, name="logout"),
    path("account", account.account, name="account"),
    path("account/name", account.name, name="account-name"),
    path("account/password", account.password, name="account-password"),
    path("account/second-factor", account.second_factor, name="account-second-factor"),
    path("account/second-factor/remove", account.remove, name="account-second-factor-remove"),
    path("account/recovery-codes", account.recovery_codes, name="account-recovery-codes"),
    path("account/sessions/end", account.end, name="account-sessions-end"),
    path("cli-login", cli_login.cli_login, name="cli-login"),
    path("device", cli_login.device, name="device"),
    path("invitations/<str:text>", invitations.invitation, name="invitation"),
    *provider_tests.urlpatterns,
    *provider_logout.urlpatterns,
    *providers.urlpatterns,
]
