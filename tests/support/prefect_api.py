"""Prefect's API as tests need it: runs of our deployments, and all that the UI shows of them."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from processes import wait_until

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_SECONDS = 240.0
_PAUSES = (0.5, 1, 2, 4, 8, 0)


class PrefectApi:
    """A server, asked by its API."""

    def __init__(self, address: str, auth: str | None = None) -> None:
        self.address, self.auth = address, auth
        self._headers = {"Content-Type": "application/json"}
        if auth:
            self._headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"

    def _csrf(self) -> None:
        client = str(uuid.uuid4())
        try:
            token = self.ask(f"csrf-token?client={client}")["token"]
        except urllib.error.HTTPError:  # it asks for none
            return
        self._headers |= {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token}

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer of the API; with a body the request is a POST."""
        if body is not None and self.auth and "Prefect-Csrf-Token" not in self._headers:
            self._csrf()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}", data, self._headers)
        for pause in _PAUSES:
            try:
                with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                # A database that is locked for a moment: nothing has been changed then, as Prefect's clients know.
                if error.code != 503 or not pause:
                    raise
                time.sleep(pause)
        raise AssertionError("the last pause is none")

    def refusal(self, path: str, body: Any) -> tuple[int, str]:
        """Status and text of an answer that refuses."""
        try:
            self.ask(path, body)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["detail"]
        raise AssertionError(f"{path} took {body}")

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment, as `corpus-build/local`."""
        return self.ask(f"deployments/name/{name}")

    def start_run(self, name: str, parameters: dict[str, Any], **state: Any) -> str:
        """The id of a new run of a deployment."""
        deployment = self.deployment(name)["id"]
        asked = {"parameters": {"parameters": parameters}, "state": {"type": "SCHEDULED", **state}}
        return str(self.ask(f"deployments/{deployment}/create_flow_run", asked)["id"])

    def run(self, flow_run: str) -> dict[str, Any]:
        """What the server knows of a run."""
        return self.ask(f"flow_runs/{flow_run}")

    def ended(self, flow_run: str) -> dict[str, Any]:
        """A run once it has ended."""
        wait_until(lambda: self.run(flow_run)["state"]["type"] in ENDED, f"the end of run {flow_run}", 2 * _SECONDS)
        return self.run(flow_run)

    def completed(self, flow_run: str) -> dict[str, Any]:
        """A run once it has ended well."""
        run = self.ended(flow_run)
        assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
        return run

    def artifacts(self, flow_run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a run and its tasks, by key."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run]}}, "sort": "ID_DESC"}
        return {one["key"]: one for one in self.ask("artifacts/filter", wanted)}

    def task_runs(self, flow_run: str) -> dict[str, dict[str, Any]]:
        """The task runs of a run, by name."""
        wanted = {"flow_runs": {"id": {"any_": [flow_run]}}}
        return {one["name"]: one for one in self.ask("task_runs/filter", wanted)}

    def logs(self, flow_run: str) -> list[str]:
        """The lines of a run's log."""
        wanted = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC"}
        return [one["message"] for one in self.ask("logs/filter", wanted)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of this name."""
        return self.ask("events/filter", {"filter": {"event": {"name": [name]}}})["events"]
