"""AES-256-GCM encryption; ciphertexts are bound to their owner, so that they cannot be exchanged.

Each purpose has a key of its own, derived from the site key by HKDF (RFC 5869).
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from birads_app.records.errors import SiteKeyDiffers
from birads_app.terms.messages import msg

_NONCE = 12  # bytes


def encrypt(data: bytes, site_key: str, purpose: str, belongs_to: str) -> bytes:
    """Encrypt data, at most 2 GiB; return nonce and ciphertext.

    Parameters
    ----------
    purpose : selects the key
    belongs_to : id of the owner, which decryption has to name as well
    """
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(site_key, purpose).encrypt(nonce, data, belongs_to.encode())


def decrypt(box: bytes, site_key: str, purpose: str, belongs_to: str) -> bytes:
    """Invert :func:`encrypt`; raise SiteKeyDiffers if key, purpose or owner differ."""
    try:
        return _cipher(site_key, purpose).decrypt(box[:_NONCE], box[_NONCE:], belongs_to.encode())
    except InvalidTag:
        raise SiteKeyDiffers(msg("wrong-site-key")) from None


def _cipher(site_key: str, purpose: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(site_key.encode()))
