"""Files on a real S3 server behind a proxy that loses requests and answers: whole, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import fsspec
import numpy as np
import pytest
from fault_proxy import FAULTS, FaultProxy, fault_proxy
from s3_server import s3_environment, s3_server

from schemas.errors import OutputError
from schemas.storage import Folder, file_checksum

pytestmark = pytest.mark.slow
MANY_BYTES = 104 * 2**20  # s3fs sends a file of 100 MiB in parts of 50 MiB


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with s3_server("files") as endpoint, fault_proxy(endpoint) as one, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(one.url).items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield one
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def quiet(proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy, with everything counted anew; nothing goes wrong before or after the test."""
    proxy.requests.clear()
    proxy.failed.clear()
    yield proxy
    proxy.share, proxy.faults = 0.0, FAULTS


def stored(bucket: str) -> tuple[list[str], list[str]]:
    """The objects of a bucket, and the uploads that nobody ended, as the store itself has them."""
    client = boto3.client("s3")
    objects = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    client.close()
    return [one["Key"] for one in objects], [one["Key"] for one in uploads]


def test_what_goes_wrong_now_and_then_is_not_noticed(quiet: FaultProxy):
    quiet.share = 0.5
    folder = Folder("s3://files/here")
    folder.put_whole("one", b"1" * 1000)
    with folder.open_write("two") as stream:
        stream.write(b"2" * 1000)
    assert folder.read("one") == b"1" * 1000
    assert folder.names() == ["one", "two"]
    assert folder.exists("two")
    folder.move_in(folder.child(), "two", "three")
    with folder.open_read("three") as stream:
        assert stream.read() == b"2" * 1000
    folder.remove("one")
    assert folder.files_below() == ["three"]
    folder.remove_tree()
    assert folder.files_below() == []
    assert set(quiet.failed) == set(FAULTS)


def test_a_large_file_arrives_whole_though_parts_get_lost(quiet: FaultProxy):
    quiet.share, quiet.faults = 0.6, ("lost", "unanswered", "500")
    folder, data = Folder("s3://files/large"), np.random.default_rng(0).bytes(MANY_BYTES)
    with folder.open_write("shard") as stream:
        stream.write(data)
        assert not folder.exists("shard")
    assert quiet.parts_lost > 0
    assert quiet.requests["UploadPart"] > 3
    quiet.share = 0.0
    assert folder.read("shard") == data
    assert len(file_checksum(folder, "shard")) == 64
    folder.remove_tree()


@pytest.mark.parametrize("size", [1000, MANY_BYTES], ids=["one-put", "in-parts"])
def test_what_cannot_be_written_is_said_and_leaves_nothing(
    quiet: FaultProxy, size: int, monkeypatch: pytest.MonkeyPatch
):
    folder = Folder("s3://files/never")
    real, quiet.draw = quiet.draw, lambda method, path: "500" if method == "PUT" else real(method, path)  # type: ignore[method-assign]
    try:
        with (
            pytest.raises(OutputError, match=r"cannot write .*files/never/shard"),
            folder.open_write("shard") as stream,
        ):
            stream.write(b"x" * size)
    finally:
        quiet.draw = real  # type: ignore[method-assign]
    assert stored("files") == ([], [])


def test_a_body_that_fails_leaves_nothing(quiet: FaultProxy):
    folder = Folder("s3://files/half")

    def half() -> None:
        with folder.open_write("shard") as stream:
            stream.write(b"half of it")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        half()
    assert stored("files") == ([], [])
