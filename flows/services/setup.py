"""Sets up a server: the work pool and its queues, the limits, the webhook, the automations, the deployments.

Run as `python -m flows.services.setup HOME` while the server starts or when it is up, with its URL and password in the
environment. What is there already is brought up to date.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from flows.services.automations import apply_automation, notifications, remove_automation, zombie_automations
from flows.services.daemons import POOL, WEBHOOK_VARIABLE, read_settings
from flows.services.deployments import apply_deployments
from flows.services.events import NOTIFICATIONS
from flows.services.gpu_slots import limit_name
from schemas.configs.up import UpConfig
from schemas.errors import CorpusmillError

__all__ = ["WEBHOOK_BLOCK", "main"]

WEBHOOK_BLOCK = "corpusmill-notifications"
_REQUEST_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


def _wait_for(api: str) -> None:
    """Wait for the server, for as long as whoever started this process has patience."""
    while True:
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=_REQUEST_SECONDS) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(_PAUSE_SECONDS)


def _job_template() -> dict[str, Any]:
    """What a deployment may change of a run's process: variables of its environment.

    The server checks this schema anew for every run that is made; all of Prefect's own took it half of its time.
    """
    about = "Environment variables of the process, beside those of its worker."
    environment = {"type": "object", "title": "Environment", "description": about}
    return {
        "job_configuration": {"env": "{{ env }}"},
        "variables": {"type": "object", "properties": {"env": environment}},
    }


def _pool(client: SyncPrefectClient) -> None:
    description = "Flow runs as processes of this machine, started by the workers of `corpusmill up`."
    template = _job_template()
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", description=description, base_job_template=template)
        )
    else:
        client.update_work_pool(POOL, WorkPoolUpdate(description=description, base_job_template=template))


def _queues(client: SyncPrefectClient, config: UpConfig) -> None:
    slots = config.gpu_slots or 1
    wanted = (
        ("data", config.data_runs, "Stages on the corpus, in the order in which they were asked for."),
        ("gpu", slots, "Trainings: as many at once as there are slots."),
        ("evaluate", config.evaluate_runs, "Scores of trained models."),
    )
    known = {queue.name: queue for queue in client.read_work_queues(work_pool_name=POOL)}
    for name, limit, description in wanted:
        if name not in known:
            client.create_work_queue(name, description, concurrency_limit=limit, work_pool_name=POOL)
        elif known[name].concurrency_limit != limit:
            client.update_work_queue(known[name].id, concurrency_limit=limit)
    client.upsert_global_concurrency_limit_by_name(limit_name(), slots)


def _automations(client: SyncPrefectClient, config: UpConfig, webhook: str | None) -> None:
    """The webhook is left as it is where the environment does not say, and is gone where it says nothing."""
    for automation in zombie_automations(config.lost_after_seconds):
        apply_automation(client, automation)
    if webhook:
        block = Webhook(url=SecretStr(webhook), headers=SecretDict({"Content-Type": "application/json"}))
        block.save(WEBHOOK_BLOCK, overwrite=True)
        saved = client.read_block_document_by_name(WEBHOOK_BLOCK, "webhook")
        for automation in notifications(saved.id):
            apply_automation(client, automation)
    elif webhook == "":
        for name in NOTIFICATIONS:
            remove_automation(client, name)
        try:
            client.delete_block_document(client.read_block_document_by_name(WEBHOOK_BLOCK, "webhook").id)
        except ObjectNotFound:
            return


def main() -> int:
    """Set up the server of a home; gives the exit code."""
    home = Path(sys.argv[1])
    config = read_settings(home)
    webhook = os.environ.pop(WEBHOOK_VARIABLE, None)
    _wait_for(os.environ["PREFECT_API_URL"])
    try:
        with get_client(sync_client=True) as client:
            _pool(client)
            _queues(client, config)
            _automations(client, config, webhook)
        apply_deployments(config.folder, os.environ)
    except CorpusmillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
