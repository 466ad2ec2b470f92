"""Accounts, access and stored identities."""

from birads_app.terms.translation import N_

ACCOUNT = {
    "wrong-site-key": N_(
        "This was sealed under another site key. Put back the file `site-key` or BIRADS_SITE_KEY of the "
        "server that stored it."
    ),
    "too-many-sign-ins": N_("Too many attempts to sign in. Wait %(minutes)d minutes, then try again."),
    "identity-not-allowed": N_("Only an administrator may look up who a patient is."),
    "pseudonym-unknown": N_("No stored exam has the pseudonym %(pseudonym)s."),
    "administrator-exists": N_("The administrator has been created already. Sign in."),
    "token-missing": N_("There is no such token. It may have been revoked."),
    "account-name-taken": N_("There is already an account named %(name)s. Choose another name."),
    "account-name-invalid": N_(
        "A name has up to 64 letters, digits, spaces, dots, hyphens, underscores and @, and begins with a"
        " letter or digit."
    ),
    "account-missing": N_("There is no such account."),
    "account-name-unknown": N_("There is no account named %(name)s."),
    "last-administrator": N_(
        "This is the only administrator who can sign in. Make another account an administrator first."
    ),
    "role-unknown": N_("A role has to be one of %(roles)s. Got %(role)s."),
    "password-length": N_("A password has %(least)d to %(most)d characters."),
}
