"""Our models in lm-evaluation-harness, through its own interface for models.

    from lm_eval import simple_evaluate
    from training.evaluation.harness import harness_model
    simple_evaluate(model=harness_model("runs/first"), tasks=["arc_easy", "lambada_openai"])

The library is the extra `lm-eval`; nothing else here needs it, so that it is imported when it is asked for. Texts
become ids as in all of our scoring: a context and what follows it apart, white space between them with the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from schemas.errors import ConfigError
from training.checkpoints import LoadedModel, load_model
from training.evaluation.likelihood import score_answers
from training.evaluation.prompts import Prompt
from training.evaluation.scoring import greedy_texts
from training.evaluation.steps import finish
from training.evaluation.text_scoring import rolling_nats
from training.generation.tokens import encode

__all__ = ["answers_until", "harness_model", "likelihoods", "rolling_likelihoods"]

_MOST_TOKENS = 256  # lm-evaluation-harness's own default


class _Asked(Protocol):
    """A request of the library."""

    args: tuple[Any, ...]


def _prompt(loaded: LoadedModel, text: str) -> Prompt:
    body = text.rstrip()
    return Prompt(text, encode(loaded.tokenizer, body), text[len(body) :])


def likelihoods(loaded: LoadedModel, requests: Sequence[_Asked], batch: int) -> list[tuple[float, bool]]:
    """Log-likelihood of each continuation after its context, and whether it is the greedy one."""
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request.args[0], []).append(place)
    asked = []
    for context, own in places.items():
        prompt = _prompt(loaded, context)
        asked.append((prompt.ids, [encode(loaded.tokenizer, prompt.tail + requests[one].args[1]) for one in own]))
    scores = finish(score_answers(loaded.model, asked, loaded.end_of_text, batch))
    found: dict[int, tuple[float, bool]] = {}
    for own, of_context in zip(places.values(), scores, strict=True):
        found |= {place: (one.nats, one.greedy) for place, one in zip(own, of_context, strict=True)}
    return [found[place] for place in range(len(requests))]


def rolling_likelihoods(loaded: LoadedModel, requests: Sequence[_Asked], batch: int) -> list[float]:
    """Log-likelihood of each text by itself."""
    texts = [request.args[0] for request in requests]
    return [one.nats for one in finish(rolling_nats(loaded, texts, 1, batch))]


def answers_until(loaded: LoadedModel, requests: Sequence[_Asked], batch: int) -> list[str]:
    """What the model writes after each context, greedily, up to a stop text.

    Raises:
        ConfigError: a task wants draws.
    """
    groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for place, request in enumerate(requests):
        wanted = request.args[1]
        if wanted.get("do_sample") or wanted.get("temperature"):
            raise ConfigError(f"lm-eval wants answers drawn by chance ({wanted}); give gen_kwargs temperature=0")
        until = wanted.get("until") or ()
        stop = (until,) if isinstance(until, str) else tuple(until)
        groups.setdefault((stop, int(wanted.get("max_gen_toks", _MOST_TOKENS))), []).append(place)
    found: dict[int, str] = {}
    for (stop, max_tokens), own in groups.items():
        prompts = [_prompt(loaded, requests[one].args[0]) for one in own]
        texts, _ = finish(greedy_texts(loaded, prompts, "", stop, max_tokens, batch))
        found |= dict(zip(own, texts, strict=True))
    return [found[place] for place in range(len(requests))]


def harness_model(run: str, step: int | None = None, batch: int = 32) -> Any:
    """The model of a run as an `lm_eval.api.model.LM`.

    Raises:
        ConfigError: the library is not installed.
        InputError: no run, no checkpoint, or none of this step.
    """
    try:
        from lm_eval.api.model import LM
    except ImportError as error:
        raise ConfigError("lm-evaluation-harness is not installed; install corpusmill[lm-eval]") from error
    loaded = load_model(run, step)

    class RunModel(LM):  # type: ignore[misc]
        """See the module's text."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return likelihoods(loaded, requests, batch)

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return rolling_likelihoods(loaded, requests, batch)

        def generate_until(self, requests: list[Any]) -> list[str]:
            return answers_until(loaded, requests, batch)

    return RunModel()
