"""Identity by content: hashes and ids that no file name or position enters.

All hashes are BLAKE2b (RFC 7693); 16-byte digests for identities, 32-byte digests for proofs.
"""

from __future__ import annotations

import hashlib
import struct
import uuid

__all__ = ["HASH_BYTES", "content_hash", "document_id", "length_prefixed", "stable_fraction", "warc_record_id"]

HASH_BYTES = 16


def length_prefixed(*parts: bytes) -> bytes:
    """Join parts so that no two different lists give the same bytes (8-byte big-endian length before each)."""
    return b"".join(struct.pack(">Q", len(part)) + part for part in parts)


def content_hash(text: str) -> bytes:
    """BLAKE2b-128 of the UTF-8 of `text` as stored; 16 bytes.

    Raises:
        UnicodeEncodeError: `text` holds a lone surrogate, which has no UTF-8.
    """
    return hashlib.blake2b(text.encode("utf-8"), digest_size=HASH_BYTES).digest()


def document_id(source: str, record_key: str, content: bytes) -> bytes:
    """BLAKE2b-128 over the length-prefixed (source, record_key, content_hash); 16 bytes."""
    parts = length_prefixed(source.encode("utf-8"), record_key.encode("utf-8"), content)
    return hashlib.blake2b(parts, digest_size=HASH_BYTES).digest()


def stable_fraction(identity: bytes, seed: int, purpose: str) -> float:
    """A draw in [0, 1) that depends on nothing but a document's hash, a seed and what it is drawn for."""
    key = length_prefixed(identity, struct.pack(">q", seed), purpose.encode("utf-8"))
    bits = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 11  # 53 bits: exact as a float64
    return bits / 2.0**53


def warc_record_id(url: str, payload_digest: str, kind: str) -> str:
    """The `WARC-Record-ID` of a record of our crawler: UUIDv5 of (URL, payload digest), one name per record kind."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {payload_digest} {url}')}>"
