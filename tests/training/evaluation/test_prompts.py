from __future__ import annotations

import random
from collections.abc import Sequence

from tokenizers import Tokenizer

from schemas.tasks import GenerationItem, TaskSpec
from training.evaluation.prompts import (
    Item,
    Prompt,
    build_prompt,
    draw_examples,
    encode_answer,
    examples_of_all,
    fitting_prompt,
)
from training.generation.tokens import decode, encode

EXAMPLES = [GenerationItem(id=str(i), prompt=f"question {i}", answers=(f"answer {i}",)) for i in range(20)]
ITEM = GenerationItem(id="item", prompt="what is the cat", answers=("a cat",))
SPEC = TaskSpec(name="t", kind="generation", items="-", separator="\n", delimiter=" = ")


def test_examples_depend_on_ids_and_seed_and_on_no_order() -> None:
    drawn = draw_examples(ITEM, EXAMPLES, 5, seed=0)
    shuffled = random.Random(1).sample(EXAMPLES, k=20)
    assert drawn == draw_examples(ITEM, shuffled, 5, seed=0)
    assert drawn[:2] == draw_examples(ITEM, EXAMPLES, 2, seed=0)
    assert drawn != draw_examples(ITEM, EXAMPLES, 5, seed=1)
    assert drawn != draw_examples(ITEM.model_copy(update={"id": "other"}), EXAMPLES, 5, seed=0)
    assert draw_examples(ITEM, EXAMPLES, 0, seed=0) == []
    assert len(draw_examples(ITEM, EXAMPLES, 50, seed=0)) == 20


def test_an_example_with_the_items_own_query_is_never_drawn() -> None:
    same = GenerationItem(id="twin", prompt=ITEM.prompt, answers=("leaked",))
    assert same not in draw_examples(ITEM, [*EXAMPLES, same], 21, seed=0)


def test_a_prompt_is_examples_and_then_the_item(tokenizer: Tokenizer) -> None:
    prompt = build_prompt(ITEM, EXAMPLES[:2], SPEC, tokenizer)
    assert prompt.text == "question 0 = answer 0\nquestion 1 = answer 1\nwhat is the cat"
    assert build_prompt(ITEM, [], SPEC, tokenizer).text == ITEM.prompt


def test_white_space_at_the_end_of_a_prompt_goes_to_the_answer(tokenizer: Tokenizer) -> None:
    open_end = ITEM.model_copy(update={"prompt": "the red "})
    spec = SPEC.model_copy(update={"delimiter": ""})
    prompt = build_prompt(open_end, [], spec, tokenizer)
    assert prompt.ids == encode(tokenizer, "the red")
    answer = encode_answer(prompt, "cat", spec, tokenizer)
    assert answer == encode(tokenizer, " cat")
    assert prompt.ids + answer == encode(tokenizer, "the red cat")
    assert decode(tokenizer, encode_answer(prompt, "dog", SPEC, tokenizer)) == "  = dog"


def test_the_harness_draws_all_items_examples_from_one_sequence() -> None:
    # Its sampler is Python's own; from the items themselves it draws one more and leaves the item out.
    generator = random.Random(1234)
    spec = SPEC.model_copy(update={"draw": "lm-eval", "examples": "-"})
    wanted = [[one for one in generator.sample(EXAMPLES, 4) if one != item][:3] for item in EXAMPLES]
    assert examples_of_all(EXAMPLES, EXAMPLES, 3, spec, 0) == wanted
    generator = random.Random(1234)
    apart = spec.model_copy(update={"examples": "other"})
    assert examples_of_all([ITEM] * 5, EXAMPLES, 3, apart, 0) == [generator.sample(EXAMPLES, 3) for _ in range(5)]
    assert examples_of_all([ITEM] * 5, EXAMPLES, 0, apart, 0) == [[]] * 5


def test_the_first_examples_are_those_of_every_item_but_its_own() -> None:
    spec = SPEC.model_copy(update={"draw": "first"})
    drawn = examples_of_all([ITEM, EXAMPLES[1]], EXAMPLES, 3, spec, 0)
    assert drawn == [EXAMPLES[:3], [EXAMPLES[0], EXAMPLES[2], EXAMPLES[3]]]


def test_a_description_stands_before_the_examples(tokenizer: Tokenizer) -> None:
    spec = SPEC.model_copy(update={"description": "Answer.\n"})
    assert build_prompt(ITEM, EXAMPLES[:1], spec, tokenizer).text.startswith("Answer.\nquestion 0 = answer 0\nwhat")


def test_as_many_examples_are_shown_as_fit(tokenizer: Tokenizer) -> None:
    def build(examples: Sequence[Item]) -> Prompt:
        return build_prompt(ITEM, examples, SPEC, tokenizer)

    sizes = [len(build(EXAMPLES[:shots]).ids) for shots in range(21)]
    for room in range(sizes[0] - 1, sizes[-1] + 2):
        wanted = max((shots for shots in range(21) if sizes[shots] <= room), default=0)
        assert fitting_prompt(build, EXAMPLES, room) == build(EXAMPLES[:wanted])
        assert fitting_prompt(build, EXAMPLES[:3], room) == build(EXAMPLES[: min(wanted, 3)])
    assert build(EXAMPLES[:3]).shown == ("0", "1", "2")
