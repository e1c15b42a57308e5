"""Published mixtures: weights, sizes and the epochs that were printed beside them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MIXTURE_PRESETS", "MixturePreset", "PublishedRow"]


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table: tokens in billions and weight in percent, both rounded as printed."""

    name: str
    tokens_billions: float
    weight_percent: float
    epochs: float

    def epochs_within(self, trained_billions: float) -> tuple[float, float]:
        """The least and the most epochs that the row's own figures allow, before they were rounded to whole numbers."""
        half = 0.5
        least = (self.weight_percent - half) / 100 * trained_billions / (self.tokens_billions + half)
        most = (self.weight_percent + half) / 100 * trained_billions / (self.tokens_billions - half)
        return least, most


@dataclass(frozen=True)
class MixturePreset:
    """A published mixture and the tokens that its epochs are for."""

    trained_billions: float
    rows: tuple[PublishedRow, ...]

    def disagreeing(self) -> list[str]:
        """Rows whose printed epochs follow from their printed size and weight under no rounding."""
        found = []
        for row in self.rows:
            least, most = row.epochs_within(self.trained_billions)
            if not least <= row.epochs <= most:
                found.append(row.name)
        return found

    def weights(self) -> dict[str, float]:
        """Shares by row; what was printed need not add up to 100."""
        total = sum(row.weight_percent for row in self.rows)
        return {row.name: row.weight_percent / total for row in self.rows}


# Brown et al. 2020, table 2.2. The weights add up to 101.
MIXTURE_PRESETS = {
    "gpt3": MixturePreset(
        trained_billions=300,
        rows=(
            PublishedRow("common_crawl", 410, 60, 0.44),
            PublishedRow("webtext2", 19, 22, 2.9),
            PublishedRow("books1", 12, 8, 1.9),
            PublishedRow("books2", 55, 8, 0.43),
            PublishedRow("wikipedia", 3, 3, 3.4),
        ),
    )
}
