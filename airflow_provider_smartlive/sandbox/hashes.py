"""Hashes that tell whether two secrets are the same, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_SALT = secrets.token_bytes(16)


def fingerprint(url: str | None) -> str | None:
    """
    Return a short hash that tells whether two callback URLs are the same, and nothing else.

    They are long and random, so a plain hash, which others can compute as well, gives nothing away.
    """
    return hashlib.sha256(url.encode()).hexdigest()[:16] if url else None


def key_hash(stream_key: str) -> str | None:
    """
    Return a hash that tells, within one run of the sandbox, whether two stream keys are the same.

    Stream keys may be short, so the hash is salted: nobody can try them out.
    """
    return hmac.new(_SALT, stream_key.encode(), hashlib.sha256).hexdigest()[:12] if stream_key else None
