"""The table of costs: its sums, its agreement with Terraform, and what it says of a file that is wrong."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_BILLED = {
    "aws_cloudwatch_log_group",
    "aws_db_instance",
    "aws_ecr_repository",
    "aws_efs_file_system",
    "aws_eip",
    "aws_eks_cluster",
    "aws_eks_node_group",
    "aws_kms_key",
    "aws_launch_template",
    "aws_nat_gateway",
    "aws_s3_bucket",
}


@pytest.fixture(scope="module")
def costs(repository: Path) -> ModuleType:
    """The script."""
    spec = importlib.util.spec_from_file_location("monthly_cost", repository / "infra/monthly_cost.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["monthly_cost"] = module
    spec.loader.exec_module(module)
    return module


def _run(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "infra/monthly_cost.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


_HEAD = 'date = 2026-01-02\nregion = "here"\nhours_of_a_month = 730\n'


def _component(**given: Any) -> str:
    about = {"name": "mill", "resource": "aws_mill", "unit": "hour", "price_usd": 2.5, **given}
    text = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in about.items())
    return f"[[component]]\n{text}\n"


def test_sums_are_right(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        _HEAD + _component(count=2) + _component(name="store", unit="GB-month", price_usd=0.02, amount=3000)
        + _component(name="hours", amount=10) + _component(name="key", unit="month", price_usd=1)
    )  # fmt: skip
    done = _run(repository, str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "| component (here, prices of 2026-01-02) | USD each | of them | USD a month |",
        "|---|---|---|---|",
        "| mill | 2.5 a hour | 2 x 730 | 3,650 |",
        "| store | 0.02 a GB-month | 3,000 | 60 |",
        "| hours | 2.5 a hour | 10 | 25 |",
        "| key | 1 a month | 1 | 1 |",
        "| all | | | 3,736 |",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prise": 3}, "mill: unknown key 'prise'; there are amount, count, instance_type, name"),
        ({"unit": "day"}, "mill: unit is 'day'; give one of hour, GB-month, GB, month"),
        ({"price_usd": -1}, "mill: price_usd, count and amount have to be numbers of 0 or more, got (-1, 1, 730)"),
        ({"unit": "GB"}, "mill: price_usd, count and amount have to be numbers of 0 or more, got (2.5, 1, None)"),
    ],
)
def test_mistakes_are_named(repository: Path, tmp_path: Path, given: dict[str, Any], said: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(_HEAD + _component(**given))
    done = _run(repository, str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}: {said}")


def test_the_table_in_the_page_is_the_one_that_is_made(repository: Path) -> None:
    made = _run(repository).stdout
    assert made
    assert made in (repository / "infra/README.md").read_text()


def test_what_is_billed_is_priced(repository: Path, costs: ModuleType) -> None:
    prices = costs.read_prices(repository / "infra/prices.toml")
    text = "\n".join(path.read_text() for path in (repository / "infra/terraform").glob("*.tf"))
    there = set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE))
    priced = {one.resource for one in prices.components}
    assert priced <= there
    assert there & _BILLED == priced
    types = {one.instance_type for one in prices.components} - {""}
    for one in types:
        assert f'"{one}"' in text, one
        assert any(one in each.name for each in prices.components)
    for variable in ("system_nodes", "data_nodes", "gpu_nodes", "database"):
        default = text[text.index(f'variable "{variable}"') :]
        default = default[default.index("default") :].splitlines()[0]
        assert sum(f'"{one}"' in default for one in types) == 1, variable
    assert re.search(rf'variable "region".*?default\s+= "{prices.region}"', text, re.DOTALL)
    limit = int(re.search(r'variable "monthly_limit_usd".*?default\s+= (\d+)', text, re.DOTALL)[1])
    assert prices.monthly_usd < limit
