"""Personal data: what is replaced, what looks like it and stays, and what it costs."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cleaning.privacy.personal_data import PLACEHOLDERS, replace_personal_data
from pipelines.cleaning.rules import evaluate
from schemas.configs.clean import PII_KINDS, CleanConfig

# Test numbers of the card networks, and made-up keys in the issuers' forms; in pieces, since scanners of repositories
# look for the same forms.
GITHUB = "gh" + "p_" + "a1B2c3D4e5F6a1B2c3D4e5F6a1B2c3D4e5F6"
AWS = "AK" + "IA" + "QWERTYUIOPASDFGH"
SLACK = "xo" + "xb-" + "123456789012-abcdefABCDEF"
GOOGLE = "AI" + "za" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"
JWT = (
    ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "name": "Jane"})
    )
    + ".dBjftJeZ4CVPmB92K27uhbUJU1p1r"
)
KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEowIBAAKCAQEA04up8hoqzS1\nabcd+/==\n-----END RSA PRIVATE KEY-----"

REPLACED = [
    ("write to jane.doe+news@mail.example.co.uk now", "write to <EMAIL> now"),
    ("a@b.io,c@d.org", "<EMAIL>,<EMAIL>"),
    ("mailto:x_y%z@sub-domain.example.travel.", "mailto:<EMAIL>."),
    ("请联系abc@example.com获取", "请联系<EMAIL>获取"),
    ("jörg@müller-söhne.de", "<EMAIL>"),
    ("почта@пример.com", "<EMAIL>"),
    ("server 8.8.8.8.", "server <IP_ADDRESS>."),
    ("from 93.184.216.34:443 to 203.0.114.9/24", "from <IP_ADDRESS>:443 to <IP_ADDRESS>/24"),
    ("範囲は93.184.216.34です", "範囲は<IP_ADDRESS>です"),
    ("8.8.8.8-8.8.4.4", "<IP_ADDRESS>-<IP_ADDRESS>"),
    ("at 2606:2800:220:1:248:1893:25c8:1946", "at <IP_ADDRESS>"),
    ("[2a00:1450:4001:81b::200e]:80", "[<IP_ADDRESS>]:80"),
    ("call +44 20 7946 0958 today", "call <PHONE> today"),
    ("+49 (0)30 901820", "<PHONE>"),
    ("+1-202-456-1111;", "<PHONE>;"),
    ("(202) 456-1111 or 202-456-1414", "<PHONE> or <PHONE>"),
    ("1.800.275.2273", "<PHONE>"),
    ("0044 20 7946 0958", "<PHONE>"),
    ("Phone: 020 7946 0958", "Phone: <PHONE>"),
    ("pay 4111 1111 1111 1111 now", "pay <CARD> now"),
    ("5500-0055-5555-5559", "<CARD>"),
    ("378282246310005", "<CARD>"),
    ("3782 822463 10005", "<CARD>"),
    ("6011111111111117", "<CARD>"),
    ("30569309025904", "<CARD>"),
    ("3530111333300000", "<CARD>"),
    (f"key {GITHUB}.", "key <SECRET>."),
    (f"id={AWS}&x", "id=<SECRET>&x"),
    (f"export SLACK={SLACK}", "export SLACK=<SECRET>"),
    (f"?key={GOOGLE}", "?key=<SECRET>"),
    (f"Bearer {JWT}", "Bearer <SECRET>"),
    (f"a\n{KEY}\nb", "a\n<SECRET>\nb"),
    (KEY.partition("\nabcd")[0], "<SECRET>"),
    ("password = 'hunter2hunter2XyZ9'", "password = '<SECRET>'"),
    ('"client_secret": "f8Kq2-x9LmN4_pR7sT1v"', '"client_secret": "<SECRET>"'),
    ("AWS_SECRET_ACCESS_KEY=wJa1rXUtnF3MI/K7MDENG+bPxRf5iCY8", "AWS_SECRET_ACCESS_KEY=<SECRET>"),
]
BY_LANGUAGE = [
    ("de", "Tel.: 030 901820", "Tel.: <PHONE>"),
    ("fr", "Tél. 01 42 34 56 78", "Tél. <PHONE>"),
    ("es", "Teléfono: 912 345 678", "Teléfono: <PHONE>"),
    ("ru", "Тел.: 8 (495) 123-45-67", "Тел.: <PHONE>"),
    ("zh", "电话：010 6552 9988", "电话：<PHONE>"),
    ("ja", "電話：03-3212-5811", "電話：<PHONE>"),
]
STAYS = [
    "jane@example and @jane are no addresses",
    "user@ example.com, @property, a@b",
    "img/logo@2x.png and sprite@3x.webp",
    "private 192.168.0.1, loopback 127.0.0.1, 10.1.2.3, 172.16.5.4",
    "documentation 192.0.2.7, 198.51.100.9, 203.0.113.200",
    "version 1.2.3.4.5 and 999.1.1.1",
    "Release 5.12.0.1, v2.4.6.8 and firmware 8.7.6.5",
    "3.1.2.1 Results of the survey",
    "::1, fe80::1, 2001:db8::1, fc00::12, ::",
    "std::vector, dead::beef, a::b, face:b00c",
    "MAC 00:1B:44:11:3A:B7, 00-1B-44-11-3A-B7, 001B.4411.3AB7",
    "at 12:30:45, 2024:11:21 10:20:30, 23:59:59.999",
    "ISBN 978-3-16-148410-0, 9783161484100, 0-306-40615-2",
    "ISSN 2049-3630, ORCID 0000-0002-1825-0097, DOI 10.1000/182.4567",
    "on 2024-05-18, 18.05.2024, 05/18/2024, 2024-05-18T10:20:30Z, 20240518102030",
    "order 1234567890, invoice 2024-000123-77, ticket 00012345678901234567",
    "order number 4111111111111112",  # the check digit is wrong
    "tracking 9400 1118 9922 3334 4455 66",
    "IMEI 356938035643809, UUID 550e8400-e29b-41d4-a716-446655440000",
    "md5 d41d8cd98f00b204e9800998ecf8427e, commit 4a3bc97f1b2c3d4e5f60718293a4b5c6d7e8f901",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "pi = 3.14159265358979323846, 0.4111111111111111, -4111111111111111",
    "population 1,234,567,890; 100 200 3000; 12 34 56 78",
    "0000000000000000 and 4444444444444444",
    "years 1914-1918 1939-1945, pages 202-456-1111111",
    "range 555-1234 and 12-345-6789",
    "a = 2125551234 * 7 + 4155551234",
    "AKIAIOSFODNN7EXAMPLE and ghp_short and sk-learn, eyJ is a prefix",
    "password = your_password_here, token: undefined, api_key=os.environ['API_KEY_2']",
    "secret = config.get_value(section1)",
    "token = https://example.org/a/b/c1d2e3f4",
    "the key: value pairs of passwords: see chapter 12",
    "<EMAIL> <IP_ADDRESS> <PHONE> <CARD> <SECRET>",
]


@pytest.mark.parametrize(("text", "wanted"), REPLACED)
def test_replaced(text: str, wanted: str) -> None:
    replaced, counts = replace_personal_data(text)
    assert replaced == wanted
    assert counts == {kind: wanted.count(mark) for kind, mark in PLACEHOLDERS.items() if mark in wanted}


@pytest.mark.parametrize(("language", "text", "wanted"), BY_LANGUAGE)
def test_numbers_without_country_code_are_read_by_language(language: str, text: str, wanted: str) -> None:
    assert replace_personal_data(text, PII_KINDS, language)[0] == wanted


@pytest.mark.parametrize("text", STAYS)
def test_stays(text: str) -> None:
    assert replace_personal_data(text) == (text, Counter())


_PIECES = [text for text, _ in REPLACED] + STAYS + ["+12024561111", "8.8.8.8", "a@b.io", ".", " ", "-", "\n", ":", "1"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_PIECES), max_size=6), st.sampled_from(["", " ", "\n"]))
def test_doing_it_again_changes_nothing(pieces: list[str], between: str) -> None:
    once, _ = replace_personal_data(between.join(pieces))
    assert replace_personal_data(once) == (once, Counter())


@given(st.text("0123456789.:-+() @abgh_=\nx", max_size=80))
def test_any_text_is_done_after_one_call(text: str) -> None:
    once, counts = replace_personal_data(text)
    assert replace_personal_data(once) == (once, Counter())
    assert counts.total() == sum(once.count(mark) for mark in PLACEHOLDERS.values())


def test_only_the_kinds_asked_for() -> None:
    text = "a@b.io 8.8.8.8 +44 20 7946 0958"
    assert replace_personal_data(text, ["email", "ip-address"])[0] == "<EMAIL> <IP_ADDRESS> +44 20 7946 0958"


def test_counts_are_scores() -> None:
    config = CleanConfig.model_validate({"rules": ["pii"], "pii_kinds": ["email", "card"]})
    verdict = evaluate("a@b.io, c@d.org, 8.8.8.8", "en", 1.0, config)
    assert verdict.text == "<EMAIL>, <EMAIL>, 8.8.8.8"
    assert verdict.scores == {"pii": 2, "pii-email": 2, "pii-card": 0}


@pytest.mark.parametrize(
    "text",
    [
        "+12024561111" * 20_000,
        "a@b.io " * 40_000,
        "a." * 100_000 + "@",
        "a@" + "b." * 100_000,
        "1 " * 150_000,
        "1:" * 150_000,
        "2001:" * 60_000,
        "-----BEGIN PRIVATE KEY-----\n" * 10_000,
        "token=" * 50_000,
        "call call " * 30_000 + "1",
        "eyJhbGciOiJ9." * 20_000,
    ],
)
def test_texts_made_to_cost_much_do_not(text: str) -> None:
    start = time.process_time()
    replace_personal_data(text)
    assert time.process_time() - start < 5
