"""`corpusmill watch`: what it refuses before it asks a server."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from prefect.exceptions import ObjectNotFound

from flows import watch_schedule
from flows.cli.main import run
from flows.cli.watch_command import _parameters
from schemas.errors import InputError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--set", "slices=0"),
            "watch: slices: Input should be greater than or equal to 1, got 0; parameters are root,",
        ),
        (("--set", "slcies=1"), "watch: slcies: Extra inputs are not permitted"),
        (("--source", "a/b"), "watch: source: String should match pattern"),
    ],
)
def test_a_wrong_parameter_is_named(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]):
    assert run(["watch", "on", "--root", "corpus", *words]) == 2
    assert said in capsys.readouterr().err


def test_places_are_whole_for_a_worker_that_runs_elsewhere(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    parameters = _parameters("corpus", "cc", ["config=small.toml", "files=3"])
    assert (parameters.root, parameters.config) == (str(tmp_path / "corpus"), str(tmp_path / "small.toml"))
    assert _parameters("s3://bucket/corpus", "cc", []).root == "s3://bucket/corpus"


def test_a_server_without_our_deployments_is_told_from_ours(monkeypatch: pytest.MonkeyPatch):
    class Client:
        def read_deployment_by_name(self, name: str):
            raise ObjectNotFound(KeyError(name))

    @contextmanager
    def client(sync_client: bool):
        yield Client()

    monkeypatch.setattr(watch_schedule, "get_client", client)
    with pytest.raises(InputError, match="the server has no deployment watch-snapshots/local; run `corpusmill up`"):
        watch_schedule.list_watches()
