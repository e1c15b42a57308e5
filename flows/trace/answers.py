"""The three questions, answered as JSON objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flows.trace.documents import document_facts, find_documents, parse_id
from flows.trace.places import PieceFacts, RunUses
from flows.trace.streams import Stream, open_shard, streams_with
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError, ShardError
from schemas.token_shard import token_table

if TYPE_CHECKING:
    from flows.trace.runs import TracedRun

__all__ = ["trace_document", "trace_step", "trace_token"]

_CONTEXT_TOKENS = 16  # shown on each side of a token


def _token_text(root: CorpusRoot, tokenizer: str, before: list[int], own: int, after: list[int]) -> dict[str, Any]:
    """The token as text with what stands beside it; bytes that are no character alone are replacement characters."""
    folder = root.tokenizer_folder(tokenizer)
    if not folder.exists("tokenizer.json"):
        return {"text": None, "before": None, "after": None}
    from tokenizers import Tokenizer

    known = Tokenizer.from_str(folder.read("tokenizer.json").decode("utf-8"))
    texts = {"text": [own], "before": before, "after": after}
    return {name: known.decode(ids, skip_special_tokens=False) for name, ids in texts.items()}


def trace_token(root: CorpusRoot, shard: str, position: int) -> dict[str, Any]:
    """From a token to its document and the record that this came from.

    Args:
        root: the corpus.
        shard: path of a token shard in the corpus.
        position: of the token in the shard, from 0.

    Raises:
        InputError: there is no such shard, or no such token in it.
        ContractError: the shard or a table is damaged.
    """
    header, reader = open_shard(root, shard)
    if not 0 <= position < header.tokens:
        raise InputError(f"{shard} has tokens 0 to {header.tokens - 1}, not {position}; give one of these")
    key = PartitionKey(header.source, header.partition)
    stream = Stream(root, token_table(header.tokenizer, header.split), key)
    at = header.first_token + position
    row = stream.piece_at(at)
    # In the piece and in this shard: what lies in the next one is not worth opening it.
    low = max(position - _CONTEXT_TOKENS, row["start"] - header.first_token, 0)
    high = min(position + 1 + _CONTEXT_TOKENS, row["start"] + row["length"] - header.first_token, header.tokens)
    column = reader.read_all().column("token")
    ids = column.slice(low, high - low).to_pylist()
    here = position - low
    token = {"id": ids[here], **_token_text(root, header.tokenizer, ids[:here], ids[here], ids[here + 1 :])}
    place = {
        "tokenizer": header.tokenizer,
        "split": header.split,
        "position_in_stream": at,
        "piece": row["piece"],
        "position_in_piece": at - row["start"],
        "tokens_of_piece": row["length"],
    }
    return {
        "shard": shard,
        "position": position,
        "token": token,
        "place": place,
        "document": vars(document_facts(root, key, row["document_id"])),
    }


def _uses(traced: TracedRun, key: PartitionKey, pieces: Sequence[PieceFacts]) -> RunUses | None:
    """The steps of a run with a document; one whose shards were written anew since does not hide the others."""
    from flows.trace.runs import uses_of

    try:
        return uses_of(traced, key, pieces)
    except ShardError as error:
        return RunUses(traced.folder, traced.config.mixture, [], 0, str(error))


def trace_document(
    root: CorpusRoot, given: str, source: str | None = None, partition: str | None = None, runs: Sequence[str] = ()
) -> dict[str, Any]:
    """From a document to its tokens and to the training steps that used them, in each partition that holds it.

    Args:
        root: the corpus.
        given: id of the document, in hexadecimal.
        source: where given, only its partitions are looked at.
        partition: where given, only partitions of this name.
        runs: folders of runs beside those of the corpus.

    Raises:
        InputError: no partition holds such a document, or the id is none.
        ContractError: a table, a plan or a run's description is damaged.
    """
    from flows.trace.runs import runs_of

    document_id = parse_id(given)
    keys = list(find_documents(root, document_id, source, partition))
    if not keys:
        raise InputError(
            f"no document {given} in {root.url}; ids of documents stand in the column document_id of documents/ and of "
            "index.parquet beside token shards"
        )
    traced = list(runs_of(root, runs))
    found = []
    for key in keys:
        pieces = [piece for stream in streams_with(root, key) for piece in stream.pieces_of(document_id)]
        uses = [use for one in traced if (use := _uses(one, key, pieces)) is not None]
        found.append(
            {
                "document": vars(document_facts(root, key, document_id)),
                "tokens": [vars(piece) for piece in pieces],
                "runs": [vars(use) for use in uses],
            }
        )
    return {"document_id": document_id.hex(), "found": found}


def trace_step(run: str, step: int, root: str | None = None) -> dict[str, Any]:
    """From a step of a run to the documents in its batch.

    Args:
        run: folder of the run.
        step: counted from 1.
        root: the corpus, where it is no longer where the run was trained from.

    Raises:
        InputError: there is no such run or step, or the plan is another one now.
        ContractError: a shard, an index or the plan is damaged or was written anew.
    """
    from flows.trace.runs import open_run, windows_of_step

    traced = open_run(run, root)
    samples = windows_of_step(traced, step)
    tokens: dict[tuple[Any, ...], dict[str, Any]] = {}
    for sample in samples:
        met = set()  # a sample may hold several pieces of a document that was cut
        for piece in sample.documents:
            place = (piece["source"], piece["partition"], piece["document_id"])
            known = tokens.setdefault(place, {**{k: piece[k] for k in _DOCUMENT}, "tokens": 0, "samples": 0})
            known["tokens"] += piece["tokens"]
            known["samples"] += place not in met
            met.add(place)
    return {
        "run": run,
        "mixture": traced.config.mixture,
        "step": step,
        "done": step <= traced.done,
        "sequence_length": traced.plan.sequence_length,
        "samples": [vars(one) for one in samples],
        "documents": sorted(tokens.values(), key=lambda one: (-one["tokens"], one["document_id"])),
    }


_DOCUMENT = ("document_id", "source", "partition", "url")
