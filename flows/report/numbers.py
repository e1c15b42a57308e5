"""Numbers and names as a person reads them."""

from __future__ import annotations

__all__ = [
    "as_bytes",
    "as_compact",
    "as_count",
    "as_duration",
    "as_estimate",
    "as_metric",
    "as_number",
    "as_percent",
    "as_shots",
    "as_tick",
]

_MINUS = "\N{MINUS SIGN}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_THOUSANDS = ("", "k", "M", "B", "T")


def _scaled(value: float, base: float, units: tuple[str, ...]) -> tuple[float, str]:
    for unit in units[:-1]:
        if abs(value) < base * 0.9995:
            return value, unit
        value /= base
    return value, units[-1]


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def as_count(value: int) -> str:
    """`12,345`."""
    return f"{value:,}".replace("-", _MINUS)


def as_tick(value: float) -> str:
    """`20k`, `1.5M`: as short as the number allows, for the ticks of an axis."""
    scaled, unit = _scaled(value, 1000, _THOUSANDS)
    return f"{scaled:g}{unit}"


def as_compact(value: float) -> str:
    """`12.3M`; whole below a thousand."""
    scaled, unit = _scaled(value, 1000, _THOUSANDS)
    return f"{_three_digits(scaled) if unit else f'{scaled:.0f}'}{unit}"


def as_bytes(value: float) -> str:
    """`1.23 GB`, in powers of 1000."""
    scaled, unit = _scaled(value, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))
    return f"{_three_digits(scaled) if unit != 'B' else f'{scaled:.0f}'}{_NO_BREAK}{unit}"


def as_duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 59.5:
        return f"{_three_digits(seconds) if seconds < 9.995 else f'{seconds:.0f}'}{_NO_BREAK}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_NO_BREAK}min {rest:02d}{_NO_BREAK}s"
    return f"{minutes // 60}{_NO_BREAK}h {minutes % 60:02d}{_NO_BREAK}min"


def as_percent(part: float, whole: float) -> str:
    """`12.3%`; a dash where there is no whole."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.1f}%" if share < 99.95 else "100%"


def as_number(value: float, digits: int = 3) -> str:
    """`0.412`, rounded to so many digits after the point."""
    return f"{value:.{digits}f}".replace("-", _MINUS)


def as_shots(shots: int) -> str:
    """`zero-shot`, `one-shot`, `6-shot`."""
    return {0: "zero-shot", 1: "one-shot"}.get(shots, f"{shots}-shot")


def as_metric(metric: str) -> str:
    """`exact match`, `token F1`."""
    return metric.replace("_", " ").replace(" f1", " F1")


def as_estimate(value: float | None, error: float | None, digits: int = 3) -> str:
    """`0.412 ± 0.021`: a mean and its standard error; a dash where there is nothing to measure."""
    if value is None:
        return "–"
    return as_number(value, digits) + ("" if error is None else f" ± {error:.{digits}f}")
