from __future__ import annotations

import random

from tokenizers import Tokenizer

from schemas.tasks import GenerationItem, TaskSpec
from training.evaluation.prompts import build_prompt, draw_examples, encode_answer
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
