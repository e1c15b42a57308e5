"""Block lists and bad-word lists: their formats, what they match, and that they are part of the fingerprint."""

from __future__ import annotations

import gzip
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.lists.bad_words import BadWords
from pipelines.cleaning.lists.block_lists import HashedSet, UrlLists
from pipelines.cleaning.lists.list_files import list_records, read_entries
from pipelines.cleaning.lists.listed import Listed
from pipelines.cleaning.rules import evaluate
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_lists import CleanLists
from schemas.errors import InputError


def _lists(folder: Path, **entries: object) -> CleanLists:
    """Lists of one file each; `bad_words` by language."""

    def written(name: str, lines: object) -> tuple[str, ...]:
        path = folder / f"{name}.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")  # type: ignore[arg-type]
        return (str(path),)

    values = {
        name: {code: written(f"{name}-{code.replace('*', 'any')}", lines) for code, lines in given_lines.items()}
        if isinstance(given_lines, dict)
        else written(name, given_lines)
        for name, given_lines in entries.items()
    }
    return CleanLists.model_validate(values)


@pytest.fixture
def urls(tmp_path: Path) -> UrlLists:
    lists = _lists(
        tmp_path,
        domains=[
            "# a comment",
            "Bad.example",
            "*.tracker.example.",
            "www.www-only.example",
            "10.0.0.1",
            "bücher.example",
            "",
        ],
        urls=["Host.example/Users/Evil", "http://www.other.example/x/", "query.example/p?id=7"],
        banned_words=["spam", "two-words", "#commented"],
        soft_words=["free", "win", "prize"],
        banned_subwords=["click bait", "2for1"],
    )
    return UrlLists(lists)


@pytest.mark.parametrize(
    ("rule", "url", "value"),
    [
        ("blocked-domains", "http://bad.example/", 1),
        ("blocked-domains", "https://WWW.Bad.Example:8080/x", 1),
        ("blocked-domains", "http://a.b.bad.example", 1),
        ("blocked-domains", "http://user@bad.example/", 1),
        ("blocked-domains", "http://notbad.example/", 0),
        ("blocked-domains", "http://bad.example.org/", 0),
        ("blocked-domains", "http://good.example/bad.example", 0),
        ("blocked-domains", "http://x.tracker.example/", 1),
        ("blocked-domains", "http://www-only.example/", 1),
        ("blocked-domains", "http://10.0.0.1/", 1),
        ("blocked-domains", "http://110.0.0.1/", 0),
        ("blocked-domains", "http://xn--bcher-kva.example/", 1),
        ("blocked-domains", "http://bücher.example/", 1),
        ("blocked-domains", "no url at all", 0),
        ("blocked-domains", "http://[broken/", 0),
        ("blocked-urls", "https://www.host.example/users/evil", 1),
        ("blocked-urls", "http://host.example/users/evil/more?x=1#f", 1),
        ("blocked-urls", "http://host.example/users/evil?x=1", 1),
        ("blocked-urls", "http://host.example/users/evilish", 0),
        ("blocked-urls", "http://host.example/users", 0),
        ("blocked-urls", "http://other.example/x", 1),
        ("blocked-urls", "http://query.example/p?id=7", 1),
        ("blocked-urls", "http://query.example/p?id=77", 0),
        ("banned-url-words", "http://a.example/spam/x", 1),
        ("banned-url-words", "http://spam.example/my-spam", 1),
        ("banned-url-words", "http://a.example/spammer", 0),
        ("banned-url-words", "http://a.example/twowords", 1),
        ("banned-url-words", "http://a.example/commented", 0),
        ("soft-url-words", "http://free.example/free-free", 1),
        ("soft-url-words", "http://free.example/win/prizes", 2),
        ("banned-url-subwords", "http://a.example/xclick-bait_y", 1),
        ("banned-url-subwords", "http://2for1.example/Click/Bait", 2),
        ("banned-url-subwords", "http://a.example/click/x/bait", 0),
    ],
)
def test_urls(urls: UrlLists, rule: str, url: str, value: float) -> None:
    assert urls.value(rule, url) == value


def test_the_published_lists_are_read(shared_data: Path) -> None:
    folder = shared_data / "lists"
    lists = CleanLists(
        domains=tuple(map(str, sorted((folder / "ut1").glob("*.txt")))),
        banned_words=(str(folder / "datatrove" / "banned_words.txt"),),
        soft_words=(str(folder / "datatrove" / "soft_banned_words.txt"),),
        banned_subwords=(str(folder / "datatrove" / "banned_subwords.txt"),),
    )
    urls = UrlLists(lists)
    names = [line for path in (folder / "ut1").glob("*.txt") for line in path.read_text().split() if "/" not in line]
    assert len(names) > 5_000
    start = time.process_time()
    assert all(urls.value("blocked-domains", f"https://sub.{name}/x") for name in names)
    seconds = time.process_time() - start
    assert seconds / len(names) < 0.001, f"{len(names) / seconds:,.0f} URLs a second"
    assert urls.value("soft-url-words", "http://x.example/anus/babes") == 2
    assert not urls.value("blocked-domains", "https://docs.python.org/3/")


@given(st.lists(st.text(max_size=5)), st.text(max_size=5))
def test_a_hashed_set_is_a_set(entries: list[str], other: str) -> None:
    hashed = HashedSet(entries)
    assert len(hashed) == len(set(entries))
    assert all(entry in hashed for entry in entries)
    assert (other in hashed) == (other in entries)


BAD = {"en": ["bad", "very naughty", "c++"], "ja": ["悪い", "sm女王"], "de": ["böse"], "hi": ["बुर"], "*": ["évil"]}


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        # C4's `[^a-z](w)[^a-z]` misses a word at the start or the end of a line.
        ("en", "bad", 1),
        ("en", "Bad at the start,\nat the end bad\nbad", 3),
        ("en", "badly, forbad, bad_word, bad2 and un-bad", 1),
        ("en", "very naughty, very\nnaughty, VERY NAUGHTY!", 2),
        ("en", "c++, c+++ and cc++", 2),
        ("en", "évil and évils", 1),
        ("ja", "それは悪いです。Xsm女王y", 1),
        ("ja", "新sm女王様", 1),
        ("zh", "悪い évil", 1),
        ("de", "böse, böser", 1),
        ("hi", "बुरा", 0),  # the vowel sign belongs to the word
        ("hi", "बुर है", 1),
        (None, "bad évil", 1),
        ("en", "", 0),
    ],
)
def test_bad_words(tmp_path: Path, language: str | None, text: str, count: int) -> None:
    assert BadWords(_lists(tmp_path, bad_words=BAD)).count(text, language) == count


def test_bad_words_agree_with_a_search_word_by_word(shared_data: Path) -> None:
    path = shared_data / "lists" / "ldnoobw" / "en"
    words = [line.strip() for line in path.read_text().split("\n") if line.strip() and line[0] != "#"]
    found = BadWords(CleanLists(bad_words={"en": (str(path),)}))
    text = " ".join(f"{word} {word}s x{word} {word.upper()}," for word in words)
    expected = sum(len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text.lower())) for word in set(words))
    # Overlapping matches of one word with itself are counted here and not by `findall`.
    assert expected <= found.count(text, "en") <= expected + 3


def test_lists_switch_their_rules_on(tmp_path: Path) -> None:
    lists = _lists(tmp_path, domains=["bad.example"], bad_words={"en": ["naughty"]})
    config = CleanConfig(preset="c4-as-coded", lists=lists)
    assert config.active_rules()[:2] == ("blocked-domains", "language")
    assert config.active_rules().index("bad-words") > config.active_rules().index("c4-lines-as-coded")
    assert CleanConfig(preset="gopher", lists=lists).active_rules()[:2] == ("blocked-domains", "bad-words")
    assert CleanConfig(preset="c4-as-coded").active_rules() == tuple(
        rule for rule in config.active_rules() if rule not in ("blocked-domains", "bad-words")
    )
    assert CleanConfig(rules=(), lists=lists).active_rules() == ()
    verdict = evaluate("A naughty text.", "en", 1.0, CleanConfig(preset="gopher", lists=lists), None, Listed(lists))
    assert verdict.scores["bad-words"] == 1
    assert verdict.failed[0] == "bad-words"


def test_lists_may_be_compressed_and_are_known_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(gzip.compress("\ufeffOne\r\n#no\r\n Two \r\n".encode()))
    lists = CleanLists(domains=(str(path),))
    assert list(read_entries(lists.domains)) == ["one", "two"]
    (before,) = list_records(lists)
    path.write_bytes(gzip.compress(b"one\n"))
    (after,) = list_records(lists)
    assert before.name == after.name == f"list:{path}"
    assert before.digest != after.digest


def test_a_list_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing"):
        list_records(CleanLists(domains=(str(tmp_path / "nothing"),)))
    broken = tmp_path / "broken"
    broken.write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match=r"broken is not text in UTF-8 .* give one entry a line"):
        Listed(CleanLists(domains=(str(broken),))).load()
