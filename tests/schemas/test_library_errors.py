from __future__ import annotations

import pytest

from schemas.library_errors import reason_of


def test_a_panic_of_a_library_is_told_and_an_interrupt_goes_on() -> None:
    panic = type("PanicException", (BaseException,), {})("range end index 16 out of range")
    assert reason_of(panic) == "PanicException: range end index 16 out of range"
    assert reason_of(ValueError("no")) == "ValueError: no"
    with pytest.raises(KeyboardInterrupt):
        reason_of(KeyboardInterrupt())
