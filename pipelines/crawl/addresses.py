"""Connections go to addresses that were looked at: names that lead into a private network are refused.

The name is resolved once, each address is judged, and the connection is made to that very address; a server that
answers differently the second time it is asked (DNS rebinding) gains nothing. Every redirect comes by here again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType

import httpcore
import httpx

from pipelines.crawl.deadline import DeadlineBackend

__all__ = ["CheckedTransport", "PrivateAddressError", "is_global_address"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(httpx.RequestError):
    """A host lies at an address that the settings do not allow."""


def is_global_address(text: str) -> bool:
    """Whether an IP address is one of the public internet: neither loopback, private, link-local nor multicast.

    Nor may an IPv4 address be that it carries, as a gateway would unpack it.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    carried = _carried(address) if isinstance(address, ipaddress.IPv6Address) else None
    address = carried or address
    return address.is_global and not address.is_multicast


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in an IPv6 one: mapped, 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052)."""
    teredo = address.teredo
    nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or nat64


@contextlib.contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Give errors of the connection the classes that httpx gives them."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise httpx.ConnectError(str(error) or type(error).__name__, request=request) from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise httpx.TransportError(str(error) or type(error).__name__, request=request) from error


class _Body(httpx.SyncByteStream):
    def __init__(self, request: httpx.Request, response: httpcore.Response) -> None:
        self._request, self._response = request, response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._request):
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class CheckedTransport(httpx.BaseTransport):
    """Resolves, judges and connects; `connect_to` names other places for some, and these may be private."""

    def __init__(
        self, connect_to: Mapping[str, str], *, allow_private: bool, total_seconds: float | None = None
    ) -> None:
        """Take the settings.

        Args:
            connect_to: `host:port` to ask in place of another.
            allow_private: whether all hosts may lie at private addresses.
            total_seconds: how long a connection may last, from connecting to the last byte of the answer.
        """
        self._connect_to = connect_to
        self._allow_private = allow_private
        # No connection is used twice: one to a shared address was verified for the first host name only.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=sys.maxsize,
            max_keepalive_connections=0,
            network_backend=DeadlineBackend(total_seconds),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that takes the connection. Threads may call it at once.

        The response carries that address as its extension `server_address`.

        Raises:
            PrivateAddressError: one of the addresses is not allowed.
            httpx.TransportError: no connection, or a broken one.
        """
        refused: httpx.ConnectError | None = None
        for address, port in self._addresses(request):
            pinned = httpcore.Request(
                request.method,
                httpcore.URL(scheme=request.url.scheme, host=address, port=port, target=request.url.raw_path),
                headers=request.headers.raw,  # `Host` stays that of the URL
                content=b"",
                extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
            )
            try:
                with _as_httpx(request):
                    response = self._pool.handle_request(pinned)
            except httpx.ConnectError as error:
                refused = error
            else:
                extensions = {**response.extensions, "server_address": address}
                body = _Body(request, response)
                return httpx.Response(response.status, headers=response.headers, stream=body, extensions=extensions)
        raise refused or httpx.ConnectError(f"{request.url.host} has no address", request=request)

    def _addresses(self, request: httpx.Request) -> list[tuple[str, int]]:
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or _DEFAULT_PORTS[request.url.scheme]
        target = self._connect_to.get(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        if target:
            name, _, number = target.rpartition(":")
            host, port = name.strip("[]"), int(number)
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error}", request=request) from error
        addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        if not (target or self._allow_private):
            for address in addresses:
                if not is_global_address(address):
                    raise PrivateAddressError(f"{host} is at the private address {address}", request=request)
        return [(address, port) for address in addresses]

    def close(self) -> None:
        """Close what is open."""
        self._pool.close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()
