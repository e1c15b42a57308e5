"""Plans as text: one in full, or many side by side."""

from __future__ import annotations

from collections.abc import Sequence

from training.planner.memory import Layout, Memory
from training.planner.plan import Plan

__all__ = ["as_table", "in_full"]

_GIB = 2**30
_HOURS_OF_DAY, _DAYS_OF_YEAR = 24.0, 365.25
_CHECKPOINTING = {
    "none": "all activations are kept",
    "selective": "what matrix products give is kept, the rest computed again",
    "block": "the input of each block is kept, the rest computed again",
}
_SHARDING = {"none": "one device", "ddp": "data parallel, weights on every device", "fsdp": "sharded by FSDP2"}


def _short(number: float) -> str:
    """Three digits and a letter: 174,604,259,328 as `175B`."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit * 0.9995:
            return f"{number / unit:.3g}{letter}"
    return f"{number:.3g}"


def _bytes(number: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:.0f} B"


def _time(hours: float) -> str:
    days = hours / _HOURS_OF_DAY
    if hours < 1:
        return f"{hours * 60:.1f} minutes"
    if days < 2:
        return f"{hours:.1f} hours"
    return f"{days:,.1f} days" if days < 2 * _DAYS_OF_YEAR else f"{days / _DAYS_OF_YEAR:,.1f} years"


def _money(usd: float) -> str:
    return f"${usd / 1e6:,.2f}M" if usd >= 1e6 else f"${usd:,.0f}" if usd >= 100 else f"${usd:,.2f}"


def _memory_lines(memory: Memory) -> list[str]:
    parts = {
        "parameters": memory.parameters,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "logits": memory.logits,
        "buffers": memory.buffers,
    }
    return [f"    {name:<13}{size / _GIB:>9.2f} GiB" for name, size in parts.items()]


def _line(name: str, text: str) -> str:
    return f"{name:<15}{text}"


def _layout_lines(plan: Plan, layout: Layout, memory: Memory) -> list[str]:
    return [
        _line("layout", f"{_SHARDING[layout.sharding]}; {_CHECKPOINTING[layout.checkpointing]}"),
        _line("", f"{layout.batch} sequences a step, {layout.micro_batch} at once on a device"),
        _line(
            "memory", f"{memory.total / _GIB:.2f} of {plan.memory_available / _GIB:.2f} GiB a device, at its fullest"
        ),
        *_memory_lines(memory),
    ]


def in_full(plan: Plan) -> str:
    """One plan that fits, a line for each fact."""
    layout, memory, data = plan.layout, plan.memory, plan.data
    if layout is None or memory is None:
        return as_table([plan])
    count = f"{layout.gpus} x {plan.title}" if plan.hardware != "cpu" else plan.title
    share = (
        "" if plan.utilization is None else f", {plan.utilization:.1%} of the peak (attention over all of the context)"
    )
    stages = ", ".join(f"{stage} {_short(hours)}" for stage, hours in data.core_hours.items())
    lines = [
        f"{plan.model}: {_short(plan.tokens)} tokens on {count}",
        "",
        _line("parameters", f"{plan.parameters:,}"),
        _line("FLOPs", f"{plan.flops['6nd']:.2e} as 6 x parameters x tokens"),
        _line("", f"{plan.flops['full']:.2e} with attention over all of the context"),
        _line("", f"{plan.flops['window']:.2e} with attention over what each layer sees"),
        *_layout_lines(plan, layout, memory),
        _line("speed", f"{_short(plan.tokens_per_second)} tokens/s{share}"),
        _line("time", f"{_time(plan.hours)}, {plan.steps:,} steps; {_time(plan.device_hours)} of one device"),
        _line("cost", _money(plan.usd)),
        _line("checkpoint", f"{_bytes(plan.checkpoint_bytes)} each"),
        _line(
            "loader",
            f"{_bytes(plan.loader_bytes_per_second)}/s in all, {plan.loader_processes:.2g} of what one process reads",
        ),
        _line(
            "data",
            f"{_short(data.raw_pages)} raw pages, {_bytes(data.utf8_bytes)} of text, "
            f"{_bytes(data.token_bytes)} of shards",
        ),
        _line("", f"core-hours: {stages}; {_money(plan.data_usd)}"),
        *(_line("assumed" if number == 0 else "", text) for number, text in enumerate(plan.sources)),
    ]
    return "\n".join(lines) + "\n"


_COLUMNS = (
    "model",
    "parameters",
    "FLOPs, 6ND",
    "FLOPs, all",
    "FLOPs, seen",
    "devices",
    "layout",
    "GiB",
    "tokens/s",
    "time",
    "device-years",
    "cost",
)


def _cells(plan: Plan) -> tuple[str, ...]:
    layout, memory = plan.layout, plan.memory
    shape = "does not fit" if layout is None else f"{layout.sharding}, {layout.checkpointing}, {layout.micro_batch}"
    return (
        plan.model,
        _short(plan.parameters),
        f"{plan.flops['6nd']:.2e}",
        f"{plan.flops['full']:.2e}",
        f"{plan.flops['window']:.2e}",
        f"{1 if layout is None else layout.gpus} x {plan.hardware}",
        shape,
        "" if memory is None else f"{memory.total / _GIB:.1f}",
        _short(plan.tokens_per_second),
        _time(plan.hours),
        f"{plan.device_years:,.3g}" if plan.device_years < 100 else f"{plan.device_years:,.0f}",
        _money(plan.usd),
    )


def as_table(plans: Sequence[Plan]) -> str:
    """Plans side by side, as a Markdown table; the layout is sharding, what is kept or computed again, micro-batch."""
    rows = [_COLUMNS, *(_cells(plan) for plan in plans)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"
