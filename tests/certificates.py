"""Certificates as Skein makes them for a job, each made once in a run: an RSA key takes longer than most tests."""

from __future__ import annotations

import functools


@functools.cache
def certificate_and_key(owner: str) -> tuple[bytes, bytes]:
    """Return the certificate and the private key of a pretended job (PEM); another owner has others."""
    from skein.model import Security

    new = Security.new_credentials()
    return new._get_bytes("cert"), new._get_bytes("key")
