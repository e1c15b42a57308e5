"""What infra/terraform costs in a month, by component, from prices.toml: a Markdown table on stdout.

Run as `python infra/monthly_cost.py [FILE]`, with the standard library alone.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["Component", "Prices", "main", "read_prices", "table"]

_UNITS = ("hour", "GB-month", "GB", "month")
_KEYS = {"name", "resource", "instance_type", "unit", "price_usd", "count", "amount"}


@dataclass(frozen=True)
class Component:
    """One line of the bill: `price_usd` for a unit, `count` things, `amount` units of each."""

    name: str
    resource: str
    unit: str
    price_usd: float
    count: float
    amount: float
    instance_type: str = ""

    @property
    def monthly_usd(self) -> float:
        """What it costs in a month."""
        return self.price_usd * self.count * self.amount


@dataclass(frozen=True)
class Prices:
    """The content of the file."""

    date: date
    region: str
    components: tuple[Component, ...]

    @property
    def monthly_usd(self) -> float:
        """What all of it costs in a month."""
        return sum(one.monthly_usd for one in self.components)


def _component(given: dict[str, Any], hours: float) -> Component:
    unknown, name = sorted(set(given) - _KEYS), given.get("name", "a component without a name")
    if unknown:
        raise ValueError(f"{name}: unknown key {unknown[0]!r}; there are {', '.join(sorted(_KEYS))}")
    if given.get("unit") not in _UNITS:
        raise ValueError(f"{name}: unit is {given.get('unit')!r}; give one of {', '.join(_UNITS)}")
    usual = {"hour": hours, "month": 1.0}.get(given["unit"])
    amount = given.get("amount", usual)
    numbers = (given.get("price_usd"), given.get("count", 1), amount)
    if not all(isinstance(one, int | float) and one >= 0 for one in numbers):
        raise ValueError(f"{name}: price_usd, count and amount have to be numbers of 0 or more, got {numbers}")
    return Component(**{"count": 1, **given, "amount": amount})


def read_prices(path: Path) -> Prices:
    """Read prices and amounts.

    Raises:
        ValueError: a component is not as the head of the file says; the message names it.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    hours = content["hours_of_a_month"]
    return Prices(content["date"], content["region"], tuple(_component(one, hours) for one in content["component"]))


def table(prices: Prices) -> str:
    """The components as a Markdown table, with their sum."""
    lines = [
        f"| component ({prices.region}, prices of {prices.date}) | USD each | of them | USD a month |",
        "|---|---|---|---|",
    ]
    for one in prices.components:
        count = f"{one.count:g} x " if one.count != 1 else ""
        each = f"{one.price_usd:g} a {one.unit}"
        lines.append(f"| {one.name} | {each} | {count}{one.amount:,g} | {one.monthly_usd:,.0f} |")
    return "\n".join([*lines, f"| all | | | {prices.monthly_usd:,.0f} |"])


def main() -> int:
    """Print the table; gives the exit code."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("prices.toml")
    try:
        prices = read_prices(path)
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    sys.stdout.write(f"{table(prices)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
