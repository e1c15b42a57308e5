from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from pipelines.crawl.addresses import CheckedTransport, PrivateAddressError, is_global_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # metadata services of clouds
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("2002:808:808::1", True),
        ("64:ff9b::a01:203", False),  # NAT64 of 10.1.2.3
        ("64:ff9b::808:808", True),
    ],
)
def test_global_addresses(address: str, expected: bool) -> None:
    assert is_global_address(address) is expected


def _get(url: str, *, allow_private: bool = False, connect_to: dict[str, str] | None = None) -> httpx.Response:
    with httpx.Client(transport=CheckedTransport(connect_to or {}, allow_private=allow_private)) as client:
        return client.get(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"])
def test_private_hosts_are_refused(site: Any, host: str) -> None:
    with pytest.raises(PrivateAddressError, match="is at the private address"):
        _get(f"http://{host}:{site.port}/")
    assert site.asked == []


def test_a_name_that_leads_to_a_private_address_is_refused(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PrivateAddressError, match=r"inner\.example is at the private address 10\.0\.0\.7"):
        _get(f"http://inner.example:{site.port}/")


def test_private_hosts_when_allowed(site: Any) -> None:
    site.link("/")
    response = _get(f"http://127.0.0.1:{site.port}/", allow_private=True)
    assert response.status_code == 200
    assert response.extensions["server_address"] == "127.0.0.1"


def test_connect_to_keeps_the_host_name(site: Any) -> None:
    site.link("/")
    response = _get("http://site.example/", connect_to={"site.example:80": f"localhost:{site.port}"})
    assert response.status_code == 200
    assert response.request.headers["host"] == "site.example"


def test_the_next_address_is_tried(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.link("/")

    resolve = socket.getaddrinfo

    def two_addresses(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host != "two.example":
            return resolve(host, port, *args, **kwargs)
        return [
            (2, 1, 6, "", (address, port)) for address in ("127.9.9.9", "127.0.0.1")
        ]  # nothing listens at the first

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    response = _get(f"http://two.example:{site.port}/", allow_private=True)
    assert response.extensions["server_address"] == "127.0.0.1"


def test_names_without_address() -> None:
    with pytest.raises(httpx.ConnectError, match=r"no-such-host\.invalid cannot be resolved"):
        _get("http://no-such-host.invalid/")
    with pytest.raises(httpx.ConnectError, match="cannot be resolved"):
        _get(f"http://{'a' * 70}.example/")
