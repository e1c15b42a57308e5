"""A real S3 server on the loopback, and the environment by which Amazon's own libraries find it.

Run as a program, `python s3_server.py PORT`, it is the server.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from processes import wait_until

__all__ = ["S3_SECRET", "s3_environment", "s3_server"]

S3_SECRET = "pl4nted-s3-s3cr3t"


def s3_environment(endpoint: str) -> dict[str, str]:
    """Variables that botocore reads: where the server is, and who asks."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def s3_server(*buckets: str) -> Iterator[str]:
    """Serve S3 until the body ends, with these buckets; gives the server's URL."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, __file__, str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env={**os.environ, **s3_environment(endpoint)}, stdout=quiet, stderr=quiet
    ) as server:
        try:
            wait_until(lambda: _answers(endpoint) or server.poll() is not None, "the S3 server")
            assert server.poll() is None, "the S3 server has ended"
            for bucket in buckets:
                asked = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", data=b"")
                urllib.request.urlopen(asked, timeout=20).close()
            yield endpoint
        finally:
            server.terminate()


def _serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    app = DomainDispatcherApplication(create_backend_app)
    lock = Lock()

    def one_by_one(environ: Any, start_response: Any) -> Any:
        # moto looks whether an object is there and then puts it; real stores do both at one moment.
        with lock:
            return app(environ, start_response)

    run_simple("127.0.0.1", port, one_by_one, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
