"""The crawl itself: ask many hosts at once, write down what came, and go on in an order that no server decides.

Threads ask; this module's thread alone writes and keeps the state. An answer is on the disk before its line is in the
journal, and a question is under way from when it is put until its line is written: a kill loses at most `connections`
answers, and at most `host_connections` of one host.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pipelines.crawl.fetch import Answer, Failure, Fetcher, is_worth_another_try, retry_after_seconds
from pipelines.crawl.journal import Entry, Item, Journal, RobotsRead, Visit
from pipelines.crawl.line_up import LineUp, Question
from pipelines.crawl.pace import Pace
from pipelines.crawl.progress import Progress
from pipelines.crawl.robots import MAX_ROBOTS_BYTES, judge_robots
from pipelines.crawl.state import CrawlState
from pipelines.crawl.threads import Threads
from pipelines.crawl.urls import host_of
from pipelines.crawl.visits import Asked, ask
from pipelines.crawl.warc_files import WarcFiles
from schemas.configs.crawl import CrawlConfig
from schemas.errors import StageError

__all__ = ["JOURNAL_NAME", "crawl"]

JOURNAL_NAME = "journal.jsonl"


def crawl(config: CrawlConfig, state: CrawlState, folder: Path, about: dict[str, str], progress: Progress) -> None:
    """Crawl until the limit is reached or nothing is left to ask for.

    Args:
        config: the settings.
        state: a new state of these settings; changed in place.
        folder: where journal and WARC files lie, empty or as an interrupted crawl left them.
        about: fields of the warcinfo record.
        progress: called after each URL, in the order of the frontier.

    Raises:
        StageError: what lies in `folder` is damaged.
    """
    with ExitStack() as stack:
        journal = Journal(folder / JOURNAL_NAME)
        stack.callback(journal.close)
        crawler = _Crawler(config, state, journal, progress)
        stack.callback(crawler.close)
        crawler.go_on()
        warc = WarcFiles(folder, config.warc_bytes, about, state.position)
        stack.callback(warc.close)
        crawler.run(warc)


class _Crawler:
    def __init__(self, config: CrawlConfig, state: CrawlState, journal: Journal, progress: Progress) -> None:
        self._config = config
        self._state = state
        self._journal = journal
        self._progress = progress
        self._fetcher = Fetcher(config)
        self._threads: Threads[Question, Asked | Answer | Failure] = Threads(self._answer, config.connections)
        self._line_of: dict[str, int] = {}  # where the line about a URL begins, until its turn comes
        self._robots_line: dict[str, int] = {}  # where the first line about an origin begins
        self._parked: dict[str, list[Question]] = {}  # by origin: questions that wait for its robots.txt
        self._pace = Pace(0)
        self._line_up = LineUp(self._pace)

    def close(self) -> None:
        """Let threads and connections go."""
        self._threads.close()
        self._fetcher.close()

    def go_on(self) -> None:
        """Read what an interrupted crawl had done."""
        asked_before = False
        for start, entry in self._journal.lines():
            self._take(entry, start)
            asked_before = True
        config = self._config
        self._pace = Pace(config.delay_seconds, config.host_connections, asked_before=asked_before)
        self._line_up = LineUp(self._pace)

    def run(self, warc: WarcFiles) -> None:
        """Settle, ask and write until nothing is left."""
        while self._settle():
            for turn in self._state.frontier.admit(
                self._state.budget, len(self._state.scope.hosts), self._config.max_redirects
            ):
                if turn.item.url not in self._line_of:
                    self._line_up.put(Question.of(turn))
            if self._put_questions():
                continue
            seconds = self._line_up.seconds_to_next() if self._threads.are_free else None
            if seconds is None and not self._threads.under_way:
                raise StageError(f"{self._state.frontier.first()} has its turn, but nobody asks for it")
            answered = self._threads.take(seconds)
            if answered:
                self._write(*answered, warc)
        if self._line_of:
            raise StageError(f"the journal speaks of {next(iter(self._line_of))}, which this crawl does not come to")

    def _answer(self, question: Question) -> Asked | Answer | Failure:
        """What a thread does with a question."""
        if question.item is None:
            return self._fetcher.ask(question.url, MAX_ROBOTS_BYTES, cut=True)
        return ask(self._fetcher, question.item, self._config)

    def _settle(self) -> bool:
        """Go on by the lines of all URLs whose turn has come; False when the crawl has ended."""
        state = self._state
        while state.budget > 0 and (item := state.frontier.first()):
            origin = state.needs_robots(item)
            start = self._robots_line.get(origin) if origin else self._line_of.pop(item.url, None)
            if start is None:
                return True
            entry = self._journal.read(start)
            if isinstance(entry, RobotsRead):
                state.settle_robots(entry, item.depth)
            else:
                state.settle(entry)
                self._progress(state.counts["pages"], self._config.max_pages, entry.url)
        return False

    def _take(self, entry: Entry, start: int) -> None:
        if isinstance(entry, RobotsRead):
            self._robots_line.setdefault(entry.origin, start)
        else:
            self._line_of[entry.url] = start
        self._state.take(entry)

    def _done(self, entry: Entry) -> None:
        self._take(entry, self._journal.append(entry))

    def _put_questions(self) -> bool:
        """Hand as many questions as may be asked now to threads; True where some were answered without asking."""
        answered = False
        while self._threads.are_free and (question := self._line_up.take()):
            item = question.item
            if item is not None:
                visit = self._without_asking(item, question)
                if visit is not None:
                    self._done(visit)
                    answered = True
                waits = question.origin in self._parked
                if visit is not None or waits:
                    self._line_up.wake(question.host)
                    continue
            self._pace.begin(question.host)
            self._threads.put(question)
            self._line_up.wake(question.host)  # it may have another connection
        return answered

    def _without_asking(self, item: Item, question: Question) -> Visit | None:
        """The outcome of an item that need not be asked for; one whose robots.txt is to be read first is parked."""
        url, host = item.url, host_of(item.url)
        if self._config.obey_robots:
            rules = self._state.robots.get(question.origin)
            if rules is None or not rules.is_fresh:
                if question.origin not in self._parked:
                    self._line_up.put(Question.for_robots(question.origin, f"{question.origin}/robots.txt"))
                self._parked.setdefault(question.origin, []).append(question)
                return None
            if not rules.reachable:
                return Visit(url=url, outcome="failed", error=rules.read.error, message=rules.read.message)
            if not rules.allows(url):
                return Visit(url=url, outcome="robots-denied")
            if rules.delay_seconds > self._config.max_pause_seconds:
                message = f"robots.txt asks for {rules.delay_seconds:g} s between requests"
                return Visit(url=url, outcome="failed", error="crawl-delay", message=message)
            self._pace.slow_down(host, rules.delay_seconds)
        if host in self._state.left_alone:
            return Visit(url=url, outcome="failed", error="left-alone", message=self._state.left_alone[host])
        return None

    def _write(self, question: Question, came: Asked | Answer | Failure, warc: WarcFiles) -> None:
        """Write down what came of a question, or line it up again."""
        result = came.result if isinstance(came, Asked) else came
        pause = retry_after_seconds(result)
        too_long = pause > self._config.max_pause_seconds
        again = is_worth_another_try(result) and question.tries < self._config.retries and not too_long
        if again:
            pause = max(pause, self._config.retry_seconds * 2**question.tries)
            self._line_up.put(question.again())
        elif isinstance(came, Asked):
            self._done(self._stored(came, question, warc).model_copy(update={"leave_alone": too_long}))
        else:
            self._robots_came(question, came)
        self._pace.end(question.host, 0.0 if too_long else pause)
        self._line_up.wake(question.host)

    def _stored(self, came: Asked, question: Question, warc: WarcFiles) -> Visit:
        visit = came.visit
        new = self._state.frontier.is_new
        update = {
            "retries": question.tries,
            "links": tuple(url for url in visit.links if new(url)),
            "sitemaps": tuple(url for url in visit.sitemaps if new(url)),
        }
        if came.records:
            part, end = warc.append(came.records)
            update |= {"part": part, "end": end}
        return visit.model_copy(update=update)

    def _robots_came(self, question: Question, result: Answer | Failure) -> None:
        origin = question.origin
        read = judge_robots(
            origin, question.url, question.hops, result, sitemaps=self._config.sitemaps, retries=question.tries
        )
        if isinstance(read, str):
            self._line_up.put(Question.for_robots(origin, read, question.hops + 1))
            return
        self._done(read)
        for parked in self._parked.pop(origin):
            self._line_up.put(parked)
