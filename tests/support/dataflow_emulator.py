"""A Dataflow service on the loopback: takes jobs over the real REST interface and runs their staged graphs with Beam.

Each job runs in a process of its own, which is killed when the job is cancelled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas.process_exit import leave


@dataclass
class EmulatedJob:
    """One job and the process that runs it."""

    name: str
    request: dict[str, Any]
    process: subprocess.Popen[str]
    cancelled: bool = False
    errors: str = ""

    def state(self) -> str:
        code = self.process.poll()
        if self.cancelled:
            return "JOB_STATE_CANCELLED"
        if code is None:
            return "JOB_STATE_RUNNING"
        return "JOB_STATE_FAILED" if code else "JOB_STATE_DONE"


@dataclass
class Emulator:
    """What the service knows."""

    port: int = 0
    jobs: dict[str, EmulatedJob] = field(default_factory=dict)
    refusal: str = ""

    def toml(self, folder: Path) -> Path:
        """A settings file that leads here."""
        file = folder / "dataflow.toml"
        file.write_text(
            f'[dataflow]\nproject = "test-project"\nregion = "europe-west4"\ntemp_location = "{folder / "staging"}"\n'
            f'image = "registry.example/corpusmill/worker:1"\nendpoint = "http://localhost:{self.port}"\n'
        )
        (folder / "staging").mkdir(exist_ok=True)
        return file

    def create(self, request: dict[str, Any]) -> str:
        graph = request["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        process = subprocess.Popen([sys.executable, __file__, graph], stderr=subprocess.PIPE, text=True)
        job_id = f"2026-11-21_{len(self.jobs)}"
        job = self.jobs[job_id] = EmulatedJob(request["name"], request, process)
        threading.Thread(target=lambda: setattr(job, "errors", process.communicate()[1]), daemon=True).start()
        return job_id

    def cancel(self, job_id: str) -> None:
        self.jobs[job_id].cancelled = True
        self.jobs[job_id].process.kill()

    def describe(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        done = job.state() == "JOB_STATE_DONE"
        stage = {"executionStageName": "F0", "executionStageState": "JOB_STATE_DONE" if done else "JOB_STATE_RUNNING"}
        created = f"2026-11-21T00:00:{int(job_id.rpartition('_')[2]):02d}Z"
        return {
            "id": job_id,
            "name": job.name,
            "currentState": job.state(),
            "stageStates": [stage],
            "createTime": created,
        }

    def messages(self, job_id: str, least: str) -> list[dict[str, str]]:
        errors = self.jobs[job_id].errors
        said = [{"messageText": errors, "messageImportance": "JOB_MESSAGE_ERROR"}] if errors else []
        return said if least == "4" else [{"messageText": "Executing operation F0"}, *said]


def _handler(emulator: Emulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: Any, code: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _body(self) -> dict[str, Any]:
            return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _job_id(self) -> str:
            path = urlsplit(self.path).path.split("/")
            return path[path.index("jobs") + 1] if len(path) > path.index("jobs") + 1 else ""

        def do_POST(self) -> None:
            body = self._body()
            if emulator.refusal:
                self._answer({"error": {"code": 403, "message": emulator.refusal}}, 403)
                return
            self._answer(emulator.describe(emulator.create(body)))

        def do_PUT(self) -> None:
            assert self._body()["requestedState"] in (5, "JOB_STATE_CANCELLED")
            emulator.cancel(self._job_id())
            self._answer(emulator.describe(self._job_id()))

        def do_GET(self) -> None:
            job_id, parts = self._job_id(), urlsplit(self.path)
            if not job_id:
                self._answer({"jobs": [emulator.describe(one) for one in emulator.jobs]})
            elif parts.path.endswith("/messages"):
                least = parts.query.partition("minimumImportance=")[2].partition("&")[0]
                self._answer({"jobMessages": emulator.messages(job_id, least)})
            else:
                self._answer(emulator.describe(job_id))

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def dataflow_emulator() -> Iterator[Emulator]:
    """A service that runs until the body is through; its jobs end with it."""
    emulator = Emulator()
    server = ThreadingHTTPServer(("localhost", 0), _handler(emulator))
    emulator.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield emulator
    server.shutdown()
    server.server_close()
    for job in emulator.jobs.values():
        job.process.kill()


def run_staged_graph(path: str) -> None:
    """Run a graph as Dataflow's workers would, but in this process."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability import python_urns
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment

    graph = beam_runner_api_pb2.Pipeline.FromString(Path(path).read_bytes())
    for environment in graph.components.environments.values():
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
    runner = FnApiRunner(EmbeddedPythonEnvironment.default())
    runner.run_via_runner_api(graph, PipelineOptions([])).wait_until_finish()


if __name__ == "__main__":
    run_staged_graph(sys.argv[1])
    leave(0)
