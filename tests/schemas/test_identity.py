from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import content_hash, document_id, length_prefixed, stable_fraction, warc_record_id


def test_known_values() -> None:
    # By `b2sum -l 128` of the coreutils, the last one of the prefixed parts written out.
    assert content_hash("").hex() == "cae66941d9efbd404e4d88758ea67670"
    assert content_hash("naïve").hex() == "7b633f5f88cb0dd8617039f481fe52e9"
    assert document_id("web", "u", b"ch").hex() == "730e197f1f0d3a36a239b160b17c7e76"


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_prefixed_parts_of_different_lists_differ(left: list[bytes], right: list[bytes]) -> None:
    assert (length_prefixed(*left) == length_prefixed(*right)) == (left == right)


def test_what_belongs_to_another_part_gives_another_id() -> None:
    assert document_id("web", "ab", b"c") != document_id("weba", "b", b"c")
    assert document_id("web", "", b"c") != document_id("", "web", b"c")


def test_a_lone_surrogate_has_no_hash() -> None:
    with pytest.raises(UnicodeEncodeError):
        content_hash("a\ud800b")


@given(st.binary(min_size=16, max_size=16), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5))
def test_draws_are_fractions_and_repeat(identity: bytes, seed: int, purpose: str) -> None:
    drawn = stable_fraction(identity, seed, purpose)
    assert 0 <= drawn < 1
    assert drawn == stable_fraction(identity, seed, purpose)


def test_draws_are_even_and_depend_on_seed_and_purpose() -> None:
    draws = [stable_fraction(n.to_bytes(16), 0, "a") for n in range(4000)]
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.02)
    assert sum(draw < 0.1 for draw in draws) == pytest.approx(400, abs=80)
    assert len({stable_fraction(b"x", seed, purpose) for seed in range(3) for purpose in "abc"}) == 9


def test_ids_do_not_depend_on_the_seed_of_hashes() -> None:
    program = "from schemas.identity import *; print(document_id('web', 'u', content_hash('x')).hex())"
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert found == {document_id("web", "u", content_hash("x")).hex().encode() + b"\n"}


def test_a_record_of_the_crawler_is_named_by_its_content() -> None:
    name = warc_record_id("https://example.org/", "sha1:ABC", "response")
    assert name == warc_record_id("https://example.org/", "sha1:ABC", "response")
    assert name.startswith("<urn:uuid:")
    assert name[24] == "5"  # the version of the UUID
    others = [("https://example.org/a", "sha1:ABC", "response"), ("https://example.org/", "sha1:ABD", "response")]
    others.append(("https://example.org/", "sha1:ABC", "request"))
    assert len({name, *(warc_record_id(*other) for other in others)}) == 4
