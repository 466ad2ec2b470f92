"""Sign-on at an OpenID Connect provider: authorization code with PKCE, and an ID token that is verified here.

Besides the PACS, the provider that the settings name is the only host to which the server connects on its own.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from birads_app.config import Settings, oidc_client_secret
from birads_app.provider_settings import is_safe_address
from birads_app.records.errors import ProviderFailed
from birads_app.terms.messages import Message, msg

log = logging.getLogger(__name__)

# Seconds to wait for the provider, for which its configuration is kept, and after a failure or an unknown key until
# it is asked again.
_TIMEOUT_S, _KEPT_S, _PAUSE_S = 10, 3600, 10
# Seconds by which the clocks may differ.
_LEEWAY_S = 60
# Characters of a token in an address; many servers accept addresses of 8,192.
_HINT_MAX = 6000
# Signatures by a private key that the provider alone has.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_ROLES = ("admin", "radiologist", "auditor")  # the first that the groups give counts


@dataclass(frozen=True)
class SignOnRequest:
    """Request that the browser takes to the provider, with the secrets by which the answer is recognised."""

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class ProviderIdentity:
    """Person as the provider knows them.

    name : of an account for this person
    full_name : claim ``name``; empty without it
    role : None if no group gives one
    id_token : verified
    """

    issuer: str
    subject: str
    name: str
    full_name: str
    role: str | None
    id_token: str = field(repr=False)


class IdentityProvider:
    """The provider of the settings. Its configuration and keys are fetched when they are first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = oidc_client_secret(settings)
        self._issuer = settings.oidc_issuer or ""
        self.name = settings.oidc_name or urlsplit(self._issuer).netloc
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._fetched_at = self._keys_at = self._failed_at = float("-inf")

    def begin(self, redirect_uri: str) -> SignOnRequest:
        """Return a request to sign on; raise ProviderFailed."""
        endpoint = self._endpoint("authorization_endpoint")
        state, nonce, verifier = (generate_token(48) for _ in range(3))
        with self._client(redirect_uri) as client:
            address, _ = client.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return SignOnRequest(address, state, nonce, verifier)

    def finish(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> ProviderIdentity:
        """Exchange the code of an answer for an ID token, verify it, and return whom it names.

        Raises
        ------
        ProviderFailed
            The provider does not answer, refuses the code, or its token is not valid for this request.
        """
        endpoint = self._endpoint("token_endpoint")
        try:
            with self._client(redirect_uri) as client:
                token = client.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except (OAuthError, requests.RequestException, ValueError) as error:
            raise self._failed(msg("sign-on-code-refused", provider=self.name), error) from error
        try:
            claims = self._verified(token["id_token"], str(token.get("access_token", "")), nonce)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._failed(msg("sign-on-token-invalid", provider=self.name), error) from error
        return self._identity({**self._user_info(token, claims), **claims}, token["id_token"])

    def logout_address(self, back: str, id_token: str | None = None) -> str | None:
        """Return the address at which the provider ends its own session; None if it offers none or cannot be asked.

        Parameters
        ----------
        id_token : of the sign-on, by which the provider knows the session without asking; left out if it is too long
        """
        try:
            endpoint = self._configuration().get("end_session_endpoint")
        except ProviderFailed:
            return None
        if not endpoint or not is_safe_address(endpoint):
            return None
        values = {"client_id": self._settings.oidc_client_id, "post_logout_redirect_uri": back}
        if id_token and len(id_token) <= _HINT_MAX:
            values["id_token_hint"] = id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(values)}"

    def _client(self, redirect_uri: str) -> OAuth2Session:
        """Return a client for one exchange, which authenticates as the provider asks for."""
        methods = self._configuration().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return OAuth2Session(
            self._settings.oidc_client_id,
            self._secret,
            token_endpoint_auth_method=method if self._secret else "none",
            scope=self._settings.oidc_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_S,
        )

    def _verified(self, id_token: str, access_token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token after checking signature, issuer, audience, times and nonce."""
        offered = self._configuration().get("id_token_signing_alg_values_supported", ["RS256"])
        accepted = [name for name in _ALGORITHMS if name in offered]
        registry = JWSRegistry(algorithms=accepted, strict_check_header=False)
        try:
            token = jwt.decode(id_token, self._key_set(), registry=registry)
        except InvalidKeyIdError:  # the provider has new keys
            token = jwt.decode(id_token, self._key_set(again=True), registry=registry)
        expected = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._settings.oidc_client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        context = {
            "nonce": nonce,
            "client_id": self._settings.oidc_client_id,
            "access_token": access_token,
        }
        claims = CodeIDToken(token.claims, token.header, expected, context)
        claims.validate(leeway=_LEEWAY_S)
        if not claims["sub"]:
            raise ValueError("empty sub")
        return dict(claims)

    def _user_info(self, token: Mapping[str, Any], claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return claims that the provider gives only when asked; empty if the ID token has name and groups."""
        endpoint = self._configuration().get("userinfo_endpoint")
        complete = "preferred_username" in claims and _found(claims, self._settings.oidc_role_claim)
        if complete or not endpoint or not is_safe_address(endpoint):
            return {}
        info = self._get(endpoint, {"Authorization": f"Bearer {token.get('access_token')}"})
        if info.get("sub") != claims["sub"]:
            raise self._failed(
                msg("sign-on-token-invalid", provider=self.name), ValueError("userinfo of another person")
            )
        return info

    def _identity(self, claims: Mapping[str, Any], id_token: str) -> ProviderIdentity:
        groups = _found(claims, self._settings.oidc_role_claim)
        given = {role for role, group in self._settings.oidc_roles if group in groups}
        full_name = str(claims.get("name") or "").strip()
        subject = str(claims["sub"])
        name = str(claims.get("preferred_username") or "").strip() or full_name or subject
        role = next((role for role in _ROLES if role in given), None)
        return ProviderIdentity(self._issuer, subject, name, full_name, role, id_token)

    def _endpoint(self, name: str) -> str:
        """Return a required address of the provider's configuration."""
        address = str(self._configuration().get(name, ""))
        if not is_safe_address(address):
            raise self._failed(
                msg("sign-on-provider-down", provider=self.name), ValueError(f"{name} is {address!r}")
            )
        return address

    def _configuration(self) -> dict[str, Any]:
        """Return the provider's configuration (OpenID Connect Discovery), fetched once an hour."""
        if time.monotonic() - self._fetched_at > _KEPT_S:
            metadata = self._get(self._issuer.rstrip("/") + "/.well-known/openid-configuration", {})
            if metadata.get("issuer") != self._issuer:
                raise self._failed(
                    msg("sign-on-provider-down", provider=self.name),
                    ValueError(f"its issuer is {metadata.get('issuer')!r}"),
                )
            self._metadata, self._fetched_at, self._keys = metadata, time.monotonic(), None
        return self._metadata

    def _key_set(self, again: bool = False) -> KeySet:
        """Return the provider's public keys; those of an hour ago, unless asked for new ones."""
        if self._keys is None or (again and time.monotonic() - self._keys_at > _PAUSE_S):
            self._keys = KeySet.import_key_set(self._get(self._endpoint("jwks_uri"), {}))  # type: ignore[arg-type]
            self._keys_at = time.monotonic()
        return self._keys

    def _get(self, address: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Fetch a JSON object; after a failure, nobody waits for the provider for some seconds."""
        if time.monotonic() - self._failed_at < _PAUSE_S:
            raise ProviderFailed(msg("sign-on-provider-down", provider=self.name))
        try:
            answer = requests.get(address, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
            if answer.status_code != 200 or not isinstance(found, dict):
                raise ValueError(f"status {answer.status_code} instead of a JSON object")
        except (requests.RequestException, ValueError) as error:
            self._failed_at = time.monotonic()
            raise self._failed(msg("sign-on-provider-down", provider=self.name), error) from error
        return found

    def _failed(self, message: Message, error: Exception) -> ProviderFailed:
        """Log the reason, which is the administrator's matter, and return the error for the user."""
        log.warning(
            "Sign-on at %s failed (%s): %s: %s", self._issuer, message.code, type(error).__name__, error
        )
        return ProviderFailed(message)


def _found(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of a claim; a dotted name may lead into its objects, such as ``realm_access.roles``."""
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return (
        [str(one) for one in value] if isinstance(value, list) else [value] if isinstance(value, str) else []
    )
