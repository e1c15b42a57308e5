"""Language of a text, offline, by py3langid (Lui and Baldwin 2012); see docs/decisions/0002-language-identifier.md."""

from __future__ import annotations

from py3langid.langid import MODEL_FILE, LanguageIdentifier

__all__ = ["Identifier", "stated_language"]

# Windows from the start, the middle and the end: navigation at the top of a page does not decide alone, and a book
# costs as much as a page.
_WINDOWS = 3
_WINDOW_CHARACTERS = 700


def _sample(text: str) -> str:
    if len(text) <= _WINDOWS * _WINDOW_CHARACTERS:
        return text
    step = (len(text) - _WINDOW_CHARACTERS) // (_WINDOWS - 1)
    return "\n".join(text[start : start + _WINDOW_CHARACTERS] for start in (0, step, 2 * step))


class Identifier:
    """Loads the model once; one per process."""

    def __init__(self) -> None:
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(self, text: str) -> tuple[str | None, float]:
        """The likeliest language (ISO 639-1 where there is a code) of samples of the text, and its probability.

        The probability is rounded to four digits, so that it does not depend on the order in which a machine adds up.
        Text without any letter has no language: (None, 0.0).
        """
        sample = _sample(text)
        if not any(character.isalpha() for character in sample):
            return None, 0.0
        language, probability = self._model.classify(sample)
        return str(language), round(float(probability), 4)


def stated_language(stated: str | None) -> str | None:
    """The language that a row states (`en`, `en-US`, `eng_Latn`), without region and script; None where it is none."""
    code = (stated or "").replace("_", "-").partition("-")[0].strip().lower()
    return code if 2 <= len(code) <= 3 and code.isascii() and code.isalpha() else None
