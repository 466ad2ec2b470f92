"""A small OpenID Connect provider on loopback, run as a process: ``python -m tests.support.oidc_provider PORT``.

Authlib's authorization server with discovery, JWKS, RS256, PKCE (required), single-use codes, userinfo and logout. The
person signs on by a form, which asks for the subject alone. For tests of the other side, the subject's ID token can be
spoilt: see :data:`FAULTS`.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.util import create_half_hash
from flask import Flask, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.processes import ROOT

CLIENT, SECRET = "birads", "a secret of the client"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}) for _ in range(2))
# Claims of the ID token by the name of its fault.
FAULTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "expired": lambda claims: claims.update(iat=int(time.time()) - 900, exp=int(time.time()) - 600),
    "audience": lambda claims: claims.update(aud="another client"),
    "audience with azp": lambda claims: claims.update(aud=["another client"], azp=CLIENT),
    "issuer": lambda claims: claims.update(iss="https://elsewhere.example"),
    "nonce": lambda claims: claims.update(nonce="of another request"),
    "no nonce": lambda claims: claims.pop("nonce"),
    "no sub": lambda claims: claims.pop("sub"),
    "future": lambda claims: claims.update(iat=int(time.time()) + 900),
    "access token": lambda claims: claims.update(at_hash="x" * 22),
}


class Client(ClientMixin):
    """The only client."""

    client_id = CLIENT

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return uri.endswith("/sign-on/callback")

    def check_client_secret(self, secret: str) -> bool:
        return secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind == "authorization_code"


class Code(dict[str, Any]):
    """An authorization code, with members as attributes."""

    __getattr__ = dict.__getitem__

    def get_redirect_uri(self) -> str:
        return str(self["redirect_uri"])

    def get_scope(self) -> str:
        return str(self["scope"])


class CodeGrant(grants.AuthorizationCodeGrant):
    """Codes that are kept in memory and end with their use."""

    codes: dict[str, Code] = {}
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code: str, request: Any) -> None:
        given = request.payload.data
        kept = ("redirect_uri", "nonce", "code_challenge", "code_challenge_method", "scope")
        self.codes[code] = Code({name: given.get(name) for name in kept}, user=request.user, code=code)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return self.codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> Any:
        return authorization_code.user


class IdToken:
    """Extension of the grant that adds the ID token."""

    def __init__(self, issuer: str, people: dict[str, dict[str, Any]]) -> None:
        self.issuer, self.people = issuer, people

    def __call__(self, grant: CodeGrant) -> None:
        grant.register_hook("after_create_token_response", self._add)

    def _add(self, grant: CodeGrant, response: tuple[int, dict[str, Any], Any]) -> None:
        token = response[1]
        code, now = grant.request.authorization_code, int(time.time())
        person = dict(self.people[code.user])
        fault = person.pop("fault", "")
        if person.pop("userinfo", False):  # claims come from the userinfo endpoint only
            person = {}
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": code.user, "nonce": code.nonce, **person}
        claims |= {"iat": now, "exp": now + 300}
        claims["at_hash"] = create_half_hash(token["access_token"], "RS256").decode()
        FAULTS.get(fault, lambda _: None)(claims)
        header = {"alg": "RS256", "kid": "one"}
        token["id_token"] = jwt.encode(header, claims, OTHER_KEY if fault == "signature" else KEY)
        if fault == "unsigned":
            token["id_token"] = jwt.encode({"alg": "none"}, claims, None, algorithms=["none"])
        if fault == "no token":
            del token["id_token"]


def create(issuer: str) -> Flask:
    """Build the provider."""
    app, client = Flask("provider"), Client()
    people: dict[str, dict[str, Any]] = {}
    access: dict[str, str] = {}
    server = AuthorizationServer(
        app,
        query_client=lambda client_id: client if client_id == CLIENT else None,
        save_token=lambda token, request: access.update({token["access_token"]: request.user}),
    )
    server.register_grant(CodeGrant, [CodeChallenge(required=True), IdToken(issuer, people)])

    _add_description(app, issuer)
    _add_exchange(app, server, people, access)

    @app.get("/logout")
    def logout() -> Any:
        return redirect(request.args["post_logout_redirect_uri"])

    @app.put("/people/<subject>")
    def enter(subject: str) -> Any:
        people[subject] = request.get_json()
        return "", 204

    return app


def _add_description(app: Flask, issuer: str) -> None:
    """Serve the configuration and the public key."""

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Any:
        return jsonify(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            userinfo_endpoint=f"{issuer}/userinfo",
            jwks_uri=f"{issuer}/jwks",
            end_session_endpoint=f"{issuer}/logout",
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            token_endpoint_auth_methods_supported=["client_secret_basic"],
            code_challenge_methods_supported=["S256"],
        )

    @app.get("/jwks")
    def keys() -> Any:
        return jsonify(keys=[KEY.as_dict(private=False)])


def _add_exchange(
    app: Flask, server: AuthorizationServer, people: dict[str, dict[str, Any]], access: dict[str, str]
) -> None:
    """Serve the form, tokens, and claims."""

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        if request.method == "GET":
            fields = "<input name='subject' aria-label='Subject'><button>Sign on here</button>"
            return f"<!doctype html><title>Provider</title><form method='post'>{fields}</form>"
        subject = request.form["subject"]
        if subject not in people:
            state = request.args["state"]
            return redirect(f"{request.args['redirect_uri']}?error=access_denied&state={state}")
        grant = server.get_consent_grant(end_user=subject)
        return server.create_authorization_response(grant_user=subject, grant=grant)

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get("/userinfo")
    def userinfo() -> Any:
        subject = access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if subject is None:
            return jsonify(error="invalid_token"), 401
        named = people[subject]
        return jsonify({**named, "sub": named.get("info_sub", subject)})


class Provider:
    """A running provider: its address, and its people."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def enter(self, subject: str, **claims: Any) -> None:
        """Enter or replace a person; ``fault`` spoils the ID token, ``userinfo`` keeps the claims out of it."""
        body = json.dumps(claims).encode()
        sent = urllib.request.Request(
            f"{self.issuer}/people/{subject}", body, {"Content-Type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(sent, timeout=60).close()

    def settings(self) -> dict[str, str]:
        """The settings of a site that uses this provider."""
        return {
            "BIRADS_OIDC_ISSUER": self.issuer,
            "BIRADS_OIDC_CLIENT_ID": CLIENT,
            "BIRADS_OIDC_CLIENT_SECRET": SECRET,
            "BIRADS_OIDC_NAME": "Hospital",
            "BIRADS_OIDC_ROLES": "admin=birads-admins,radiologist=birads-readers,auditor=birads-auditors",
        }


@contextmanager
def run_provider(port: int) -> Iterator[Provider]:
    """Run a provider as a process of its own."""
    command = [sys.executable, "-m", "tests.support.oidc_provider", str(port)]
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield Provider(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Serve until terminated."""
    import logging

    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel("ERROR")
    port = int(sys.argv[1])
    server = make_server("127.0.0.1", port, create(f"http://127.0.0.1:{port}"), threaded=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
