from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokens.sample import Sample
from schemas.identity import content_hash, stable_fraction


def drawn(texts: list[tuple[str, str]], budget: int, seed: int = 0) -> list[tuple[str, str]]:
    sample = Sample(budget, seed)
    for source, text in texts:
        sample.add(content_hash(text), source, text)
    assert sample.utf8_bytes == sum(len(one.text.encode()) for one in sample.texts())
    return [(one.source, one.text) for one in sample.texts()]


TEXTS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(min_size=1, max_size=6)), max_size=30)


@given(TEXTS, st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_sample_is_the_lowest_draws_whatever_the_order(
    texts: list[tuple[str, str]], budget: int, shuffled: object
) -> None:
    # The definition, in another way: texts by draw, as long as those before do not reach the budget.
    first: dict[str, str] = {}
    for source, text in sorted(texts):
        first.setdefault(text, source)
    by_draw = sorted(first, key=lambda text: stable_fraction(content_hash(text), 0, "tokenizer sample"))
    wanted, size = [], 0
    for text in by_draw:
        if size >= budget:
            break
        wanted.append((first[text], text))
        size += len(text.encode())
    assert drawn(texts, budget) == wanted
    shuffled.shuffle(texts)  # type: ignore[attr-defined]
    assert drawn(texts, budget) == wanted


def test_another_seed_draws_others_and_one_text_is_always_taken() -> None:
    texts = [("web", f"text number {n}") for n in range(100)]
    assert drawn(texts, 200, seed=0) != drawn(texts, 200, seed=1)
    assert len(drawn(texts, 1)) == 1


@given(st.randoms(use_true_random=False))
def test_pieces_of_a_document_are_texts_of_their_own(shuffled: object) -> None:
    content = content_hash("one, two")
    offers = [("a", "one"), ("a", "two"), ("b", "one, two"), ("b", "two")]
    shuffled.shuffle(offers)  # type: ignore[attr-defined]
    sample = Sample(100, 0)
    for source, text in offers:
        sample.add(content, source, text)
    assert [(one.source, one.text) for one in sample.texts()] == [("a", "one"), ("a", "two"), ("b", "one, two")]
