from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from schemas.errors import ConfigError
from training.planner.hardware import HardwareTable
from training.planner.memory import peak_memory
from training.planner.plan import Job, data_needs, plan_on_cpu, plan_on_gpu
from training.planner.text import as_table, in_full

Jobs = Callable[..., Job]


def test_the_published_cost_of_gpt3_is_reproduced(job: Jobs, table: HardwareTable) -> None:
    """3.14e23 operations at 28 TFLOP/s and $1.50 an hour: 355 V100-years, $4.6 million."""
    plan = plan_on_gpu(job("gpt3-175b"), table, "v100", must_fit=False)
    assert plan.flops["6nd"] == pytest.approx(3.14e23, rel=0.002)
    assert plan.device_years == pytest.approx(355, rel=0.005)
    assert plan.usd == pytest.approx(4.6e6, rel=0.02)
    assert plan.layout is None


@pytest.mark.parametrize(("gpu", "years", "usd"), [("h100", 29.4, 7.7e5), ("h200", 29.4, 1.03e6)])
def test_the_same_today(job: Jobs, table: HardwareTable, gpu: str, years: float, usd: float) -> None:
    plan = plan_on_gpu(job("gpt3-175b"), table, gpu)
    assert plan.device_years == pytest.approx(years, rel=0.01)
    assert plan.usd == pytest.approx(usd, rel=0.01)
    assert plan.layout is not None
    # Every block is computed again, for which one forward pass in four is paid.
    assert plan.utilization == pytest.approx(0.75 * 0.47, rel=1e-3)


def test_speed_time_and_money_follow_from_each_other(job: Jobs, table: HardwareTable) -> None:
    one, eight = (plan_on_gpu(job("gpt3-1.3b"), table, "h100", gpus) for gpus in (1, 8))
    assert eight.tokens_per_second == pytest.approx(8 * one.tokens_per_second)
    assert (eight.usd, eight.device_hours) == (pytest.approx(one.usd), pytest.approx(one.device_hours))
    assert one.hours == pytest.approx(300e9 / one.tokens_per_second / 3600)
    assert one.usd == pytest.approx(3.0 * one.hours)
    # llm-foundry: 46.0k tokens/s a GPU, 42.4% of the peak, with the whole context counted and no bands.
    assert one.tokens_per_second == pytest.approx(46_000, rel=0.01)
    assert one.steps == -(-300_000_000_000 // (512 * 2048))
    assert one.checkpoint_bytes == pytest.approx(12 * 1.3157e9, rel=0.001)
    assert one.loader_bytes_per_second == pytest.approx(2 * one.tokens_per_second)


def test_a_plan_that_cannot_fit_is_refused(job: Jobs, table: HardwareTable) -> None:
    with pytest.raises(ConfigError, match=r"gpt3-175b does not fit on 8 x h100: .*what fits: "):
        plan_on_gpu(job("gpt3-175b"), table, "h100", 8)


def test_speeds_are_of_bf16(job: Jobs, table: HardwareTable) -> None:
    with pytest.raises(ConfigError, match="precision is fp32, and the table of hardware has speeds of bf16; leave it"):
        plan_on_gpu(job(precision="fp32"), table, "h100")


def test_data_is_worked_out_from_measured_rates(table: HardwareTable) -> None:
    needs = data_needs(300_000_000_000, table.data, 50_257)
    assert needs.documents == 300_000_000
    assert needs.token_bytes == 600_000_000_000
    assert needs.utf8_bytes == pytest.approx(1.3e12, rel=0.001)
    assert needs.core_hours["dedup"] == pytest.approx(20)
    assert needs.core_hours["clean"] == pytest.approx(300e6 * 2.42 * 0.0041 / 3600)
    assert needs.core_hours["tokenize"] == pytest.approx(300e9 / 16.3e6 / 3600)
    assert data_needs(10, table.data, 100_000).token_bytes == 40


def test_the_optimizer_decides_about_memory_and_checkpoints(job: Jobs, table: HardwareTable) -> None:
    adam, sgd = (plan_on_gpu(job("gpt3-1.3b", optimizer=one), table, "h100") for one in ("adamw", "sgd"))
    assert adam.memory is not None
    assert sgd.memory is not None
    assert (adam.memory.optimizer, adam.checkpoint_bytes * 2) == (2 * sgd.memory.optimizer, sgd.checkpoint_bytes * 3)


def test_a_plan_for_this_machine(job: Jobs, table: HardwareTable) -> None:
    small = job("demo", tokens=1e6)
    facts = {"cores": 2, "size": 4}
    plan = plan_on_cpu(small, table, tokens_per_second=1000.0, memory=2**36, **facts)
    assert plan.hours == pytest.approx(1000 / 3600)
    assert plan.usd == pytest.approx(plan.hours * 2 * 0.05)
    assert plan.layout is not None
    assert plan.memory == peak_memory(small.model, plan.layout, size=4, device="cpu", windows=64)
    with pytest.raises(ConfigError, match="with --set micro_batch=1 it takes"):
        plan_on_cpu(small, table, tokens_per_second=1.0, memory=plan.memory.total - 2**20, **facts)
    with pytest.raises(ConfigError, match=r"demo does not fit in this machine: .*; what fits: 1 x v100"):
        plan_on_cpu(small, table, tokens_per_second=1.0, memory=2**20, **facts)


def test_json_holds_sums_beside_parts(job: Jobs, table: HardwareTable) -> None:
    plan = plan_on_gpu(job(), table, "h200")
    content = json.loads(json.dumps(plan.as_json()))
    memory = content["memory"]
    assert memory["total"] == sum(size for name, size in memory.items() if name != "total")
    assert content["layout"]["gpus"] == 1
    assert plan_on_gpu(job("gpt3-175b"), table, "v100", must_fit=False).as_json()["memory"] is None


def test_text_in_full_and_as_a_table(job: Jobs, table: HardwareTable) -> None:
    plan = plan_on_gpu(job("gpt3-13b"), table, "h100", 8)
    text = in_full(plan)
    for expected in (
        "gpt3-13b: 300B tokens on 8 x H100 SXM 80 GB",
        "12,853,386,240",
        "2.31e+22 as 6 x parameters x tokens",
        "sharded by FSDP2; all activations are kept",
        "$3.00 an hour: ",
    ):
        assert expected in text
    unfit = plan_on_gpu(job("gpt3-175b"), table, "v100", must_fit=False)
    rows = as_table([plan, unfit]).splitlines()
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1
    assert "does not fit" in rows[3]
    assert in_full(unfit) == as_table([unfit])
