"""What commands write: tables that files and pipes get whole."""

from __future__ import annotations

import pytest

from flows.cli.output import print_table


def test_a_table_in_a_pipe_is_whole_however_long_its_cells(capsys: pytest.CaptureFixture[str]):
    long = "/corpus/" + "x" * 300
    print_table("", ["root", "rows"], [[long, "1,000"], ["/short", "2"]])
    out = capsys.readouterr().out
    assert f"{long}  1,000\n" in out
    assert max(map(len, out.splitlines())) == len(long) + len("  1,000")
