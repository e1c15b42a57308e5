"""Connections go to addresses that were looked at: names that lead into a private network are refused.

The name is resolved once, each address is judged, and the connection is made to that very address; a server that
answers differently the second time it is asked (DNS rebinding) gains nothing. Every redirect comes by here again.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from types import TracebackType

import httpx

__all__ = ["CheckedTransport", "PrivateAddressError", "is_global_address"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class PrivateAddressError(httpx.RequestError):
    """A host lies at an address that the settings do not allow."""


def is_global_address(text: str) -> bool:
    """Whether an IP address is one of the public internet: neither loopback, private, link-local nor multicast."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_global and not address.is_multicast


class CheckedTransport(httpx.BaseTransport):
    """Resolves, judges and connects; `connect_to` names other places for some, and these may be private."""

    def __init__(self, connect_to: Mapping[str, str], *, allow_private: bool) -> None:
        self._connect_to = connect_to
        self._allow_private = allow_private
        # No connection is used twice: one to a shared address was verified for the first host name only.
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that takes the connection.

        The response carries that address as its extension `server_address`.

        Raises:
            PrivateAddressError: one of the addresses is not allowed.
            httpx.TransportError: no connection, or a broken one.
        """
        refused: httpx.ConnectError | None = None
        for address, port in self._addresses(request):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address, port=port),
                headers=request.headers,  # `Host` stays that of the URL
                extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
            )
            try:
                response = self._inner.handle_request(pinned)
            except httpx.ConnectError as error:
                refused = error
            else:
                response.extensions["server_address"] = address
                return response
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
        self._inner.close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()
