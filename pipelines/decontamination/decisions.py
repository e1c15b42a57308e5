"""What becomes of one document that holds n-grams of evaluation items: pure, from its matches alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from pipelines.decontamination.cuts import CutRules, kept_pieces
from pipelines.decontamination.lookup import Match, Posting
from pipelines.decontamination.ngrams import CUTS, MARKS

__all__ = ["Action", "Decision", "ItemMatch", "Rules", "decide_document"]

Action = Literal["cut", "drop", "ignored"]


class Rules(NamedTuple):
    """How documents are decided.

    Attributes:
        cuts: how a document is cut.
        whole: whether a document with an n-gram goes as a whole.
        share: of the words of an item that a document must hold for the item's n-grams to count; 0: any.
    """

    cuts: CutRules
    whole: bool
    share: float


class ItemMatch(NamedTuple):
    """An item and the document's first n-gram of it; of those that are left after the cuts, where some are."""

    item: int
    match: Match
    left: bool


class Decision(NamedTuple):
    """What becomes of a document.

    Attributes:
        actions: for each n-gram that cuts, what is done about it.
        items: the items that the document has words of.
        goes: whether nothing of it stays.
    """

    actions: list[tuple[Match, Action]]
    items: list[ItemMatch]
    goes: bool


def _covered(
    matches: Iterable[Match], postings: Callable[[str], Sequence[Posting]], words: Callable[[int], int], share: float
) -> set[int]:
    """The items of which the document holds at least a share of the words."""
    held: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for match in matches:
        length = match.ngram.count(" ") + 1
        for one in postings(match.ngram):
            held[one.item, one.text].update(range(one.position, one.position + length))
    return {item for (item, text), places in held.items() if len(places) >= share * words(text)}


def _items(
    matches: Sequence[Match], postings: Callable[[str], Sequence[Posting]], is_left: Callable[[Match], bool]
) -> list[ItemMatch]:
    found: dict[int, ItemMatch] = {}
    for match in matches:
        left = is_left(match)
        for one in postings(match.ngram):
            known = found.get(one.item)
            if one.role & MARKS and (known is None or (left and not known.left)):
                found[one.item] = ItemMatch(one.item, match, left)
    return [found[item] for item in sorted(found)]


def decide_document(
    characters: int,
    matches: Sequence[Match],
    postings: Callable[[str], Sequence[Posting]],
    words: Callable[[int], int],
    common: Collection[str],
    rules: Rules,
) -> Decision:
    """Decide about one document.

    Args:
        characters: of its text.
        matches: the n-grams of items that it holds, by place.
        postings: where an n-gram stands in the items.
        words: how many words a text of an item has.
        common: n-grams of so many documents that they stay.
        rules: how to decide.
    """
    cutting = [one for one in matches if any(p.role & CUTS for p in postings(one.ngram))]
    counting = [one for one in cutting if one.ngram not in common]
    if rules.share and counting:
        reached = _covered(matches, postings, words, rules.share)
        counting = [one for one in counting if any(p.item in reached for p in postings(one.ngram) if p.role & CUTS)]
    pieces = kept_pieces(characters, [(one.start, one.end) for one in counting], rules.cuts)
    goes = bool(counting) and (rules.whole or not pieces)
    action: Action = "drop" if goes else "cut"
    counted = set(counting)

    def is_left(match: Match) -> bool:
        return not goes and any(piece.holds(match.start, match.end) for piece in pieces)

    return Decision(
        actions=[(one, action if one in counted else "ignored") for one in cutting],
        items=_items(matches, postings, is_left),
        goes=goes,
    )
