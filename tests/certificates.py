"""Certificates of pretended jobs, each made once in a run."""

from __future__ import annotations

import functools

from yarn_submitter import certificate


@functools.cache
def certificate_and_key(owner: str) -> tuple[bytes, bytes]:
    """Return the certificate and the private key of a pretended job (PEM); another owner has others."""
    return certificate.certificate_and_key()
