"""A step is a process, or nothing where it is done; its events are told as they come."""

from __future__ import annotations

import json
import logging
import pickle
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from flows.receipts import Receipt, read_receipt, write_receipt
from flows.steps import LOGGER, Step, StepResult, leave_out, perform
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError, StepFailedError, UserError


def step(root: CorpusRoot, code: str, **more) -> Step:
    return Step(name="mix", root=root, argv=(sys.executable, "-c", code), **{"done": lambda receipt: None, **more})


@pytest.fixture
def events():
    """The events told while a test runs."""
    told: list[logging.LogRecord] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record)

    listener, level = Listener(), LOGGER.level
    LOGGER.addHandler(listener)
    LOGGER.setLevel(logging.INFO)
    yield told
    LOGGER.removeHandler(listener)
    LOGGER.setLevel(level)


SPEAKING = """
import json, os, sys
sys.stderr.write("half\\n")
print("noise")
print(json.dumps({"rows": 7, "argv": sys.argv[1:], "of": os.environ["OF"]}))
"""


def test_a_step_gives_what_it_printed_and_leaves_a_receipt(corpus_root: CorpusRoot, events: list[logging.LogRecord]):
    done = perform(step(corpus_root, SPEAKING, env={"OF": "mine"}, fingerprint="f", outputs=(corpus_root.url,)))
    assert (done.step, done.status) == ("mix", "done")
    assert done.result == {"rows": 7, "argv": [], "of": "mine"}
    assert done.seconds > 0
    assert [(event.event, event.step) for event in events] == [("begin", "mix"), ("line", "mix"), ("end", "mix")]
    assert events[1].getMessage() == "half"
    assert events[2].outcome is done
    receipt = read_receipt(corpus_root, "mix")
    assert receipt is not None
    assert (receipt.result, receipt.fingerprint, receipt.seconds) == (done.result, "f", done.seconds)
    assert receipt.outputs_are_there()


def test_what_the_user_set_wins_over_the_environment_of_a_step(corpus_root: CorpusRoot, monkeypatch):
    monkeypatch.setenv("OF", "the user")
    assert perform(step(corpus_root, SPEAKING, env={"OF": "mine"})).result["of"] == "the user"


def test_a_step_that_is_done_starts_no_process(corpus_root: CorpusRoot, events: list[logging.LogRecord]):
    write_receipt(corpus_root, Receipt(step="mix", fingerprint="f", result={}, seconds=4.5, peak_memory_bytes=6))
    done = perform(step(corpus_root, "1/0", done=lambda receipt: {"known": receipt.fingerprint}))
    assert done == StepResult(step="mix", status="done before", result={"known": "f"}, seconds=4.5, peak_memory_bytes=6)
    assert [event.event for event in events] == ["end"]


def test_surroundings_are_there_only_while_the_process_runs(corpus_root: CorpusRoot):
    story: list[str] = []

    @contextmanager
    def surroundings():
        story.append("begin")
        yield ("--more", "1")
        story.append("end")

    code = "import json, sys; print(json.dumps({'argv': sys.argv[1:]}))"
    assert perform(step(corpus_root, code, surroundings=surroundings)).result == {"argv": ["--more", "1"]}
    assert story == ["begin", "end"]
    perform(step(corpus_root, code, surroundings=surroundings, done=lambda receipt: {}))
    assert story == ["begin", "end"]


COMPLAINING = """
import json, sys
sys.stderr.write("corpusmill: too few pages; give more\\n")
print(json.dumps({{"error": "{kind}", "message": "-", "exit_code": {code}}}))
sys.exit({code})
"""


def test_a_mistake_of_the_user_stays_one(corpus_root: CorpusRoot):
    with pytest.raises(UserError, match=r"^mix: too few pages; give more$"):
        perform(step(corpus_root, COMPLAINING.format(kind="ConfigError", code=2), may_be_left_out=True))


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (2, UserError, "clean of web/7: too few pages; give more; to go on: corpusmill run clean --partition 7"),
        (
            1,
            StepFailedError,
            "clean of web/7 failed: too few pages; give more; to go on: corpusmill run clean --partition 7",
        ),
    ],
)
def test_a_failure_names_stage_partition_cause_and_the_command_that_goes_on(code, kind, said, corpus_root: CorpusRoot):
    about = {"name": "clean", "partition": "web/7", "resume": "corpusmill run clean --partition 7"}
    complaining = COMPLAINING.format(kind="ConfigError", code=code).replace("too few", "web/7: too few")
    with pytest.raises(kind) as error:
        perform(replace(step(corpus_root, complaining), **about))
    assert str(error.value) == said


def test_a_mistake_that_is_seen_before_a_process_starts_is_named_in_the_same_way(corpus_root: CorpusRoot):
    def done(receipt):
        raise InputError("no file or folder x; give another")

    about = {"name": "clean", "partition": "web/7", "resume": "corpusmill run clean --input x"}
    with pytest.raises(InputError) as error:
        perform(replace(step(corpus_root, "1/0", done=done), **about))
    assert str(error.value) == (
        "clean of web/7: no file or folder x; give another; to go on: corpusmill run clean --input x"
    )


def test_a_failure_keeps_the_kind_of_its_error(corpus_root: CorpusRoot):
    with pytest.raises(StepFailedError) as error:
        perform(step(corpus_root, COMPLAINING.format(kind="LossBrakeError", code=1)))
    assert error.value.kind == "LossBrakeError"
    copied = pickle.loads(pickle.dumps(error.value))
    assert (str(copied), copied.kind) == (str(error.value), "LossBrakeError")


def test_a_step_is_looked_at_while_it_runs(corpus_root: CorpusRoot):
    looks: list[int] = []
    perform(step(corpus_root, "import time; time.sleep(1); print('{}')", on_look=lambda: looks.append(1)))
    assert looks


def test_too_little_text_leaves_a_step_out_where_that_is_allowed(corpus_root: CorpusRoot):
    code = COMPLAINING.format(kind="TooLittleTextError", code=1)
    left = perform(step(corpus_root, code, may_be_left_out=True))
    assert (left.status, left.reason) == ("left out", "too few pages; give more")
    with pytest.raises(StepFailedError, match=r"^mix failed: too few pages; give more$"):
        perform(step(corpus_root, code))
    assert read_receipt(corpus_root, "mix") is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(3)", "exit code 3, and it said nothing"),
        ("import sys; sys.stderr.write('last words'); sys.exit(1)", "last words"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    ],
)
def test_a_failed_step_says_what_it_can(code: str, said: str, corpus_root: CorpusRoot):
    with pytest.raises(StepFailedError, match=f"^mix failed: {said}$"):
        perform(step(corpus_root, code))


def test_a_step_left_out_is_told(events: list[logging.LogRecord]):
    assert leave_out("pretrain", "nothing to train on").reason == "nothing to train on"
    assert events[0].getMessage() == "pretrain: left out, nothing to train on"


def test_a_receipt_that_cannot_be_read_is_none(corpus_root: CorpusRoot):
    folder = corpus_root.folder.child("steps")
    assert read_receipt(corpus_root, "mix") is None
    folder.put_whole("mix.json", b'{"half": ')
    assert read_receipt(corpus_root, "mix") is None
    write_receipt(corpus_root, Receipt(step="mix", fingerprint="", result={}, seconds=1, peak_memory_bytes=0))
    newer = json.loads(folder.read("mix.json")) | {"schema_version": 2}
    folder.put_whole("mix.json", json.dumps(newer).encode())
    assert read_receipt(corpus_root, "mix") is None


def test_a_receipt_knows_when_its_outputs_are_gone(corpus_root: CorpusRoot):
    receipt = Receipt(
        step="report", fingerprint="", result={}, outputs=(f"{corpus_root.url}/gone",), seconds=1, peak_memory_bytes=0
    )
    assert not receipt.outputs_are_there()
