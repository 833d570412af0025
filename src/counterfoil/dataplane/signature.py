"""The key that signs manifests, and the check of a signature.

The key is made at the first use and kept in the home folder. Whoever wants to know that a manifest comes from this
house compares its fingerprint with the one noted beforehand (`counterfoil keys signing` shows it).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from counterfoil.errors import Misconfigured
from counterfoil.ids import random_text

KEY_FILE = "manifest-ed25519.pem"


class Signer:
    """Signs with one private key. Thread-safe."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64.b64encode(raw).decode()
        """The public key: 32 bytes in base64."""
        self.fingerprint = hashlib.sha256(raw).hexdigest()
        """SHA-256 of the public key, hex."""

    @staticmethod
    def of_home(home: Path) -> Signer:
        """The signer whose key lies in `home/keys`, made if there is none. Raises Misconfigured for a bad key file."""
        path = home / "keys" / KEY_FILE
        if not path.exists():
            _make_key(path)
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise Misconfigured("invalid_key_file", f"The signing key {path} cannot be used: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Misconfigured("invalid_key_file", f"The signing key {path} is not an Ed25519 key")
        return Signer(key)

    def sign(self, data: bytes) -> str:
        """The signature over `data`: 64 bytes in base64."""
        return base64.b64encode(self._key.sign(data)).decode()


def is_signed(data: bytes, public_key: str, signature: str) -> bool:
    """Whether the signature over `data` was made with the private half of `public_key` (both base64)."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def fingerprint_of(public_key: str) -> str:
    """SHA-256 of a public key (base64), hex. Raises ValueError when it is not base64."""
    return hashlib.sha256(base64.b64decode(public_key, validate=True)).hexdigest()


def _make_key(path: Path) -> None:
    """Write a new key, readable by its owner alone. Of several processes that do so at once the first one's stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{random_text(12)}")
    descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, pem)
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(hidden, path)
    finally:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
