"""The certificate of a job: its agent and Skein's ApplicationMaster prove with it that they are the job's own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_NAME = "skein-internal"  # what Skein's clients expect, whatever host they meet it at
_DAYS = 365
_EARLIER = timedelta(days=1)  # clocks of a cluster differ


def certificate_and_key() -> tuple[bytes, bytes]:
    """Return a new certificate, signed by itself, and its private key, both as PEM; the key as PKCS #8.

    On the curve P-256: to make an RSA key of Skein's takes 35 ms of each submission, and each executor's connection
    costs the agent twice as much with it.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(tz=timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
