from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError, InputError
from training.planner.hardware import SHIPPED, HardwareTable, read_hardware


def test_the_shipped_table_says_where_its_figures_are_from(table: HardwareTable) -> None:
    assert set(table.gpu) == {"v100", "a100", "h100", "h200"}
    for gpu in table.gpu.values():
        assert gpu.price_source
        assert gpu.speed_source


def test_the_share_of_the_peak_is_taken_between_measured_points(table: HardwareTable) -> None:
    h100 = table.gpu["h100"]
    assert h100.share_of_peak(10) == h100.share_of_peak(125_000_000) == 0.40
    assert h100.share_of_peak(760_000_000) == pytest.approx(0.364)
    # Half way between 1.3B and 175B on a logarithmic scale.
    assert h100.share_of_peak(round((1.3e9 * 175e9) ** 0.5)) == pytest.approx((0.424 + 0.47) / 2, rel=1e-6)
    assert h100.share_of_peak(10**13) == 0.47


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_gib = 31.7", "memory_gib = 0", "gpu.v100.memory_gib: Input should be greater than 0"),
        ("memory_gib = 31.7", "memory = 31.7", "gpu.v100.memory_gib: Field required"),
        ("achieved_tflops = 28.0", "", "gpu.v100: give either achieved_tflops or points of utilization"),
        ("share = 0.448", "share = 44.8", "gpu.a100.utilization.0.share: Input should be less than or equal to 1"),
        ("parameters = 760e6", "parameters = 7e6", "gpu.h100: points of utilization must have growing parameters"),
        ("[cpu]", "[cpus]", "cpu: Field required"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SHIPPED.read_text()
    assert old in text
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as caught:
        read_hardware(str(mine))
    assert "`corpusmill plan --show-hardware` prints one that is right" in str(caught.value)


def test_a_file_that_is_not_there_and_one_that_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read config"):
        read_hardware(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("[gpu")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_hardware(str(tmp_path / "bad.toml"))


def test_an_accelerator_that_the_table_has_not(table: HardwareTable) -> None:
    with pytest.raises(
        ConfigError, match=r"--gpu b200: not in the table of hardware, which has v100, .*h200, cpu; add"
    ):
        table.find("b200")
