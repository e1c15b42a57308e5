"""Personal data: what is replaced and what is not."""

from __future__ import annotations

import pytest

from pipelines.cleaning.personal_data import replace_personal_data


@pytest.mark.parametrize(
    ("text", "wanted", "count"),
    [
        ("write to jane.doe+news@mail.example.co.uk now", "write to <EMAIL> now", 1),
        ("jane@example and @jane are no addresses", "jane@example and @jane are no addresses", 0),
        ("a@b.io,c@d.org", "<EMAIL>,<EMAIL>", 2),
        ("server 8.8.8.8.", "server <IP_ADDRESS>.", 1),
        ("private 192.168.0.1, loopback 127.0.0.1, 10.1.2.3", "private 192.168.0.1, loopback 127.0.0.1, 10.1.2.3", 0),
        ("version 1.2.3.4.5 and 999.1.1.1", "version 1.2.3.4.5 and 999.1.1.1", 0),
    ],
)
def test_replaced(text: str, wanted: str, count: int) -> None:
    assert replace_personal_data(text) == (wanted, count)
