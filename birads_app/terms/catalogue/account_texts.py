"""Accounts, access and stored identities."""

from birads_app.terms.translation import N_

ACCOUNT = {
    "wrong-site-key": N_(
        "This was encrypted with another site key. Restore the file `site-key`, or set BIRADS_SITE_KEY to "
        "the key of the server that stored it."
    ),
    "disk-full": N_(
        "The server's disk is nearly full: %(free)d MB are free, %(least)d MB must be. Nothing was saved. An "
        "administrator must free up space."
    ),
    "disk-read-only": N_(
        "The server's disk is read-only. Nothing was saved. An administrator must make it writable again."
    ),
    "shared-state-unavailable": N_(
        "The server that coordinates this installation (Redis) does not answer. Nothing was saved. Try again in a "
        "moment; if it lasts, tell an administrator."
    ),
    "files-unavailable": N_(
        "The storage of images cannot be reached, or is full. Nothing was saved. Try again in a moment; if it lasts, "
        "tell an administrator."
    ),
    "restore-unfinished": N_(
        "A restore into this instance folder was interrupted. Run `flask restore` again before anything else."
    ),
    "audit-entry-differs": N_(
        "Entry %(number)d of the audit log is not as it was written: it was changed, inserted or moved. "
        "The %(intact)d entries before it are intact."
    ),
    "audit-entries-removed": N_(
        "Entries %(first)d to %(last)d of the audit log were removed. %(intact)d entries are intact."
    ),
    "audit-key-missing": N_("The key of the audit log was removed from the database. Restore a backup."),
    "audit-head-not-found": N_(
        "The audit log does not contain the given head, entry %(number)d. Its newest entry is %(last)d."
    ),
    "audit-head-invalid": N_(
        "%(given)s is not a head of the audit log. Give the line that `flask audit head` prints, or a file with it."
    ),
    "too-many-sign-ins": N_("Too many sign-in attempts. Try again in %(minutes)d minutes."),
    "too-many-sign-ins-lately": N_("Too many sign-in attempts. Try again in %(seconds)d seconds."),
    "identity-not-allowed": N_("Only administrators can see the identity of a patient."),
    "pseudonym-unknown": N_("No stored exam has the pseudonym %(pseudonym)s."),
    "administrator-exists": N_("The administrator account already exists. Sign in."),
    "token-missing": N_("This token does not exist. It may have been revoked."),
    "token-days": N_("A token lasts 1 to %(most)d days. Got %(days)d."),
    "token-scope-unknown": N_("A token has one or several of the scopes %(known)s."),
    "token-scope-role": N_(
        "The account %(name)s does not see the administration: its tokens cannot have the scope admin."
    ),
    "account-name-taken": N_("An account named %(name)s already exists. Choose another name."),
    "account-name-invalid": N_(
        "Account names have up to 64 characters: letters, digits, spaces, dots, hyphens, underscores and "
        "@. The first is a letter or a digit."
    ),
    "signature-invalid": N_(
        "Full name and title may each have up to %(most)d characters, without line breaks and the characters ^ = \\."
    ),
    "account-missing": N_("This account does not exist."),
    "account-name-unknown": N_("No account is named %(name)s."),
    "last-administrator": N_(
        "This is the only active administrator. Make another account an administrator first."
    ),
    "role-unknown": N_("The role %(role)s does not exist. Choose one of: %(roles)s."),
    "sign-on-provider-down": N_(
        "%(provider)s cannot be reached, or is not set up for this server. Try again in a moment; if it stays so, tell "
        "an administrator: the server log has the reason."
    ),
    "sign-on-code-refused": N_(
        "%(provider)s did not confirm the sign-on. Try again; if it stays so, tell an administrator: the server log "
        "has the reason."
    ),
    "sign-on-token-invalid": N_(
        "The answer of %(provider)s is not valid, so nobody was signed in. Tell an administrator: the server log has "
        "the reason."
    ),
    "sign-on-declined": N_("%(provider)s declined the sign-on (%(code)s)."),
    "sign-on-not-begun": N_(
        "This sign-on was not begun in this browser, or took longer than ten minutes. Begin it again here."
    ),
    "sign-on-no-role": N_(
        "None of your groups gives access to this server. Ask an administrator to add you to one that does."
    ),
    "sign-on-no-account": N_(
        "You have no account on this server. Ask an administrator for one, and name your identifier: %(subject)s"
    ),
    "sign-on-deactivated": N_("Your account is deactivated. Ask an administrator."),
    "sign-on-name-taken": N_(
        "The name %(name)s belongs to another account of this server. Ask an administrator to link yours."
    ),
    "sign-on-linked-already": N_("%(subject)s is linked with an account already."),
    "sign-on-not-set-up": N_("No identity provider is set up: BIRADS_OIDC_ISSUER is not set."),
    "two-step-is-on": N_("Two-step verification is on already. Turn it off before you set it up again."),
    "password-common": N_(
        "This password is too common, or too simple a sequence. Choose another, such as four unrelated words."
    ),
    "password-obvious": N_(
        "This password consists mostly of the account's name or of words that are tried first, such as "
        "“password” or “mammography”. Choose another, such as four unrelated words."
    ),
    "password-length": N_("The password must have %(least)d to %(most)d characters."),
}
