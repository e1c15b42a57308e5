"""From chosen pieces to the rows of tasks and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipelines.heldout.passages import last_characters
from pipelines.heldout.selection import Piece
from schemas.identity import length_prefixed, stable_fraction
from schemas.tasks import GenerationItem, MultipleChoiceItem, Pair

__all__ = ["choice_items", "generation_items", "order_items", "pair_rows", "rewrite_items", "without"]

# Pieces of a pool that distractors are drawn from: enough for any item, and each item sorts them all.
_POOL = 128

# Characters before the words to be put in order: their order shows in the words themselves.
_ORDER_CONTEXT = 80
_LABELS = {
    "signature": ("name", "signature"),
    "summary": ("name", "summary"),
    "opening": ("title", "opening"),
    "ending": ("start", "end"),
}


def without(pieces: Iterable[Piece], others: Iterable[Piece]) -> list[Piece]:
    """The pieces whose prompt with this answer does not occur among `others`."""
    known = {piece.key for piece in others}
    return [piece for piece in pieces if piece.key not in known]


def generation_items(pieces: Iterable[Piece]) -> list[GenerationItem]:
    """One item a piece."""
    return [
        GenerationItem(id=piece.key.hex(), prompt=piece.cut.prompt, answers=(piece.cut.answer,), group=piece.group)
        for piece in pieces
    ]


def pair_rows(pieces: Iterable[Piece]) -> list[Pair]:
    """One prompt/answer pair a piece, with a label before the prompt and one before the answer."""
    rows = []
    for piece in pieces:
        given, wanted = _LABELS[piece.cut.kind]
        prompt = f"{given}: {piece.cut.prompt}\n{wanted}:"
        rows.append(Pair(prompt=prompt, answer=piece.cut.answer, group=piece.group))
    return rows


def _distractors(piece: Piece, pools: Sequence[Sequence[Piece]], seed: int) -> Iterator[str]:
    """Wrong answers: of other documents of the first pool, then of the next ones, then of the same document."""

    def rank(other: Piece) -> float:
        return stable_fraction(length_prefixed(piece.key, other.key), seed, "distractor")

    used = {piece.cut.answer}
    elsewhere = [[other for other in pool[:_POOL] if other.group != piece.group] for pool in pools]
    here = [other for pool in pools for other in pool[:_POOL] if other.group == piece.group]
    for pool in [*elsewhere, here]:
        for other in sorted(pool, key=rank):
            if other.cut.answer not in used:
                used.add(other.cut.answer)
                yield other.cut.answer


def _with_choices(piece: Piece, right: str, wrong: Sequence[str], seed: int) -> list[MultipleChoiceItem]:
    """The item with its right answer at a drawn position; none where there is no wrong answer."""
    if not wrong:
        return []
    position = int(stable_fraction(piece.key, seed, "position") * (len(wrong) + 1))
    texts = (*wrong[:position], right, *wrong[position:])
    item = MultipleChoiceItem(
        id=piece.key.hex(), context=piece.cut.prompt, choices=texts, answer=position, group=piece.group
    )
    return [item]


def choice_items(
    pieces: Iterable[Piece], pools: Sequence[Sequence[Piece]], choices: int, seed: int
) -> list[MultipleChoiceItem]:
    """One multiple-choice item a piece, its answer among `choices - 1` answers of other pieces of the pools.

    Where the pools hold fewer other answers there are fewer choices; a piece with no other answer gives no item.
    """
    items = []
    for piece in pieces:
        wrong = [answer for answer, _ in zip(_distractors(piece, pools, seed), range(choices - 1), strict=False)]
        items += _with_choices(piece, piece.cut.answer, wrong, seed)
    return items


def order_items(pieces: Iterable[Piece], choices: int, seed: int) -> list[MultipleChoiceItem]:
    """One multiple-choice item a piece: its answer among permutations of the answer's own words."""
    items = []
    for piece in pieces:
        short = piece.cut._replace(prompt=last_characters(piece.cut.prompt, _ORDER_CONTEXT))
        words = piece.cut.answer.split()
        wrong: list[str] = []
        # Permutations of four words or more differ soon; a bound ends the search where all words are one.
        for attempt in range(4 * choices):
            places = sorted(range(len(words)), key=lambda i: stable_fraction(piece.key, seed, f"order {attempt} {i}"))
            text = " ".join(words[place] for place in places)
            if text != " ".join(words) and text not in wrong:
                wrong.append(text)
        items += _with_choices(Piece(short, piece.group), " ".join(words), wrong[: choices - 1], seed)
    return items


def rewrite_items(pieces: Iterable[Piece], seed: int) -> list[MultipleChoiceItem]:
    """One multiple-choice item a piece: its answer among other ways to write the prompt.

    The others are the prompt as it is, with underscores for spaces, and backwards.
    """
    items = []
    for piece in pieces:
        phrase = piece.cut.prompt
        others = dict.fromkeys((phrase, phrase.replace(" ", "_"), phrase[::-1]))
        items += _with_choices(piece, piece.cut.answer, [text for text in others if text != piece.cut.answer], seed)
    return items
