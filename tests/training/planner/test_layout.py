from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.configs.model import ModelConfig
from schemas.configs.presets import PRESETS
from schemas.errors import ConfigError
from training.planner.hardware import HardwareTable
from training.planner.layout import Wishes, fewest_gpus, find_layout, refusal, what_fits
from training.planner.memory import peak_memory


def model(name: str) -> ModelConfig:
    return ModelConfig(vocabulary_size=50_257, **PRESETS[name]["model"])


def wishes(name: str) -> Wishes:
    return Wishes(batch=PRESETS[name]["batch"], windows=64)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("gpt")])
@pytest.mark.parametrize("gpu", ["a100", "h100", "h200"])
def test_the_layout_fits_and_half_as_many_would_not(table: HardwareTable, name: str, gpu: str) -> None:
    kind, shape, wanted = table.find(gpu), model(name), wishes(name)
    layout = fewest_gpus(shape, kind, wanted)
    assert layout is not None
    assert wanted.batch % (layout.gpus * layout.micro_batch) == 0
    room = kind.memory_bytes - kind.reserve_bytes
    assert peak_memory(shape, layout, windows=64).total <= room
    if layout.gpus > 1:
        assert find_layout(shape, table, gpu, layout.gpus // 2, wanted) is None


def test_more_room_is_used_for_a_larger_micro_batch_and_less_is_computed_again(table: HardwareTable) -> None:
    shape, wanted = model("gpt3-13b"), wishes("gpt3-13b")
    few, many = (find_layout(shape, table, "h100", gpus, wanted) for gpus in (4, 32))
    assert few is not None
    assert many is not None
    assert (many.sharding, many.checkpointing) == ("fsdp", "none")
    assert many.micro_batch > few.micro_batch


def test_what_the_user_has_decided_is_kept(table: HardwareTable) -> None:
    shape, wanted = model("gpt3-1.3b"), wishes("gpt3-1.3b")
    layout = fewest_gpus(shape, table.find("h100"), replace(wanted, micro_batch=2, checkpointing="block"))
    assert layout is not None
    assert (layout.micro_batch, layout.checkpointing) == (2, "block")


def test_a_refusal_says_what_would_do(table: HardwareTable) -> None:
    shape, wanted = model("gpt3-13b"), wishes("gpt3-13b")
    assert find_layout(shape, table, "h100", 1, wanted) is None
    text = refusal("gpt3-13b", shape, table, "h100", 1, wanted)
    assert text.startswith("gpt3-13b does not fit on 1 x h100: ")
    assert "and 77.6 are there; what fits: " in text
    assert text.endswith(what_fits(shape, table, wanted))
    assert "4 x h100" in text


def test_where_sharding_is_not_enough_the_refusal_says_so(table: HardwareTable) -> None:
    shape, wanted = model("gpt3-175b"), wishes("gpt3-175b")
    assert fewest_gpus(shape, table.find("v100"), wanted) is None
    text = refusal("gpt3-175b", shape, table, "v100", None, wanted)
    assert "does not fit on 1536 x v100" in text
    assert "more devices do not help, since this is after sharding (the engine does FSDP2; tensor or" in text
    assert "v100" not in text.partition("what fits: ")[2]


def test_nothing_fits(table: HardwareTable) -> None:
    small = table.model_copy(update={"gpu": {"v100": table.gpu["v100"].model_copy(update={"memory_gib": 2.0})}})
    text = refusal("gpt3-6.7b", model("gpt3-6.7b"), small, "v100", 8, wishes("gpt3-6.7b"))
    assert text.endswith("nothing in the table fits")


@pytest.mark.parametrize(("gpus", "advice"), [(3, "2"), (1000, "512")])
def test_a_batch_that_does_not_split_evenly(table: HardwareTable, gpus: int, advice: str) -> None:
    message = (
        f"--gpus {gpus}: a batch of 512 sequences does not split evenly over {gpus}; give a divisor such as {advice},"
    )
    with pytest.raises(ConfigError, match=message):
        find_layout(model("gpt3-1.3b"), table, "h100", gpus, wishes("gpt3-1.3b"))
