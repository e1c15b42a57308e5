from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.configs.base import StageConfig, load_config, parse_overrides
from schemas.errors import ConfigError, InputError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    layers: int = Field(2, ge=1)
    width: int = 8


class Config(StageConfig):
    stage: ClassVar[str] = "clean"
    operational: ClassVar[frozenset[str]] = frozenset({"threads"})

    name: str = "x"
    steps: int = Field(10, ge=1)
    share: float = Field(0.5, ge=0, le=1)
    threads: int = 1
    urls: tuple[str, ...] = ()
    model: Inner = Inner()

    @model_validator(mode="after")
    def _together(self) -> Config:
        if self.steps == 13:
            raise ValueError("13 steps bring bad luck")
        return self


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_file_overrides_and_values_in_this_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'name = "file"\nsteps = 2\nshare = 0.1\n[model]\nlayers = 3\nwidth = 4\n')
    assert load_config(Config) == Config()
    found = load_config(Config, path, ["steps=3", "model.layers=5", "share=0.2"], share=0.3, name=None)
    assert found == Config(name="file", steps=3, share=0.3, model=Inner(layers=5, width=4))


def test_of_a_file_of_many_stages_each_reads_its_own_table(tmp_path: Path) -> None:
    many = write(tmp_path / "many.toml", "[crawl]\nmax_pages = 3\n[clean]\nsteps = 4\n[train]\nsteps = 5\n")
    assert load_config(Config, many).steps == 4
    others = write(tmp_path / "others.toml", "[crawl]\nmax_pages = 3\n")
    assert load_config(Config, others) == Config()
    own = write(tmp_path / "own.toml", "steps = 6\n[crawl]\nmax_pages = 3\n")
    assert load_config(Config, own).steps == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("[]", []),
        ('["a", "b"]', ["a", "b"]),
        ("{web = 2}", {"web": 2}),
        ('"1"', "1"),
        ("plain words", "plain words"),
        (" spaced ", "spaced"),
        ("https://example.org/?a=b", "https://example.org/?a=b"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00", "2026-01-31T10:00:00"),
        ("1\nother = 2", "1\nother = 2"),
        ("", ""),
    ],
)
def test_values_of_overrides_are_toml_or_text(text: str, value: Any) -> None:
    assert parse_overrides([f"key={text}"]) == {"key": value}


def test_dotted_keys_reach_into_tables() -> None:
    assert parse_overrides(["a.b=1", "a.c.d=2", "e=3", "a.b=4"]) == {"a": {"b": 4, "c": {"d": 2}}, "e": 3}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["steps"], "--set 'steps' is not of the form key=value"),
        (["=1"], "--set '=1' is not of the form key=value"),
        (["a=1", "a.b=2"], "--set 'a.b=2': 'a' was given a plain value before"),
        (
            ["stepz=1"],
            "clean.stepz: unknown key; did you mean 'steps'\\? known keys: model, name, share, steps, threads",
        ),
        (["zzz=1"], "clean.zzz: unknown key; known keys: model, name"),
        (["model.layer=1"], "clean.model.layer: unknown key; did you mean 'layers'\\? known keys: layers, width$"),
        (["model.layers=0"], "clean.model.layers: Input should be greater than or equal to 1, got 0"),
        (["steps=-1"], "clean.steps: Input should be greater than or equal to 1, got -1"),
        (["steps=-1", "share=2"], r"got -1 \(and 1 more\)"),
        (["share=nan"], "clean.share: Input should be a finite number, got nan"),
        (["name=5"], "clean.name: Input should be a valid string, got 5"),
        (["steps=13"], "clean.the settings together: 13 steps bring bad luck"),
        ([f"steps={'9' * 3}x{'y' * 200}"], r"clean.steps: Input should be a valid integer.*, got '999xy{75}$"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(Config, None, overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"cannot read config .*none.toml: No such file or directory; give a TOML file"
    ):
        load_config(Config, str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"config .*bad.toml is not TOML"):
        load_config(Config, write(tmp_path / "bad.toml", "steps = "))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(ConfigError, match=r"config .*latin.toml is not TOML"):
        load_config(Config, str(tmp_path / "latin.toml"))
    for number, odd in enumerate(("x = " + "[" * 5_000, "x = " + "9" * 5_000)):
        with pytest.raises(ConfigError, match=r"config .*odd\d.toml is not TOML"):
            load_config(Config, write(tmp_path / f"odd{number}.toml", odd))
    with pytest.raises(ConfigError, match=r"clean.stepz: unknown key"):
        load_config(Config, write(tmp_path / "typo.toml", "stepz = 1"))


def test_a_config_does_not_change_and_shows_what_matters() -> None:
    assert Config(threads=4).fingerprint_view() == Config(threads=8).fingerprint_view()
    assert "threads" not in Config().fingerprint_view()
    assert Config().fingerprint_view()["urls"] == []  # as JSON gives it back
    with pytest.raises(ValueError, match="frozen"):
        Config().steps = 5  # type: ignore[misc]
