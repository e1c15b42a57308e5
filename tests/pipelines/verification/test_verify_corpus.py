"""Every region of every file of a corpus, damaged in turn: what verify and readers say of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.decontamination.applied import AppliedCuts
from pipelines.decontamination.cuts import CutRules
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.tokens import mix_stage, tokenize_stage, tokenizer_stage
from pipelines.tokens.frozen import read_tokenizer
from pipelines.verification import texts
from pipelines.verification.corpus import compare_files, verify_corpus
from pipelines.verification.findings import Findings
from pipelines.verification.streams import StreamPlace, open_stream
from pipelines.verification.texts import compare_texts
from schemas.configs.mix import MixConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ShardError
from schemas.manifest import read_manifest
from schemas.mixture import MixturePlan, read_mixture
from schemas.storage import Folder, file_checksum
from training.data.shards import open_streams

TEXTS = [f"Page {n} says <|endoftext|> and then {n * 7919} words. Ä{'again ' * (n % 9)}😀" for n in range(40)]
SHARES = {"test": 0.2, "validation": 0.2}
Change = Callable[[Path], None]


def stage(module: Any, root: CorpusRoot, config: Any) -> Any:
    return module.run(StageRequest(root=root, config=config, engine=Engine()))


@pytest.fixture
def corpus(corpus_writer: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus to be damaged: two partitions with tokens, and another tokenizer's tokens of them; made once."""
    made = tmp_path_factory.getbasetemp() / "corpus-to-verify"
    if not made.exists():
        root = CorpusRoot(str(made))
        writer = type(corpus_writer)(root)
        key = writer.documents("p", TEXTS)
        writer.documents("q", [text.upper() for text in TEXTS])
        writer.duplicates(key, [])
        for name, size in (("bpe", 300), ("other", 310)):
            stage(tokenizer_stage, root, TokenizerConfig(name=name, vocabulary_size=size, **SHARES))
            stage(tokenize_stage, root, TokenizeConfig(tokenizer=name, shard_tokens=300, **SHARES))
        stage(mix_stage, root, MixConfig(name="main", sequence_length=16))
    shutil.copytree(made, tmp_path / "corpus", dirs_exist_ok=True)
    return tmp_path / "corpus"


def problems(corpus: Path) -> list[str]:
    found = verify_corpus(CorpusRoot(str(corpus))).problems
    return [f"{problem.where.removeprefix(str(corpus) + '/')}: {problem.cause}" for problem in found]


def plan_of(corpus: Path) -> MixturePlan:
    return read_mixture(CorpusRoot(str(corpus)).mixture_folder(), "main")


def stream_of(corpus: Path, tokenizer: str = "bpe", partition: str = "p") -> Path:
    return corpus / "tokens" / tokenizer / "train" / "web" / partition


def test_a_sound_corpus_has_no_problems_and_every_document_is_decoded(corpus: Path) -> None:
    findings = verify_corpus(CorpusRoot(str(corpus)))
    assert findings.problems == []
    assert findings.checked["documents decoded"] == findings.checked["index rows"] == 2 * 2 * len(TEXTS)
    assert findings.checked["tokenizers"] == 2
    assert findings.checked["mixtures"] == 1


def test_a_flip_anywhere_in_a_shard_or_index_is_found(corpus: Path) -> None:
    for path in (stream_of(corpus) / "shard-00000.arrow", stream_of(corpus) / "index.parquet"):
        content = path.read_bytes()
        name = str(path.relative_to(corpus))
        for place in {*range(0, len(content), max(1, len(content) // 25)), 0, len(content) - 1}:
            damaged = bytearray(content)
            damaged[place] ^= 1 << (place % 8)
            path.write_bytes(damaged)
            assert any(line.startswith(f"{name}: its bytes are not those") for line in problems_of(path, corpus)), place
        path.write_bytes(content)


def problems_of(path: Path, corpus: Path) -> list[str]:
    """Problems of the files of one table alone."""
    findings, folder = Findings(), Folder(str(path.parent))
    manifest = read_manifest(folder)
    assert manifest is not None
    compare_files(folder, manifest.tables["/".join(path.relative_to(corpus).parts[:3])], findings)
    return [f"{problem.where.removeprefix(str(corpus) + '/')}: {problem.cause}" for problem in findings.problems]


def tokens_or_cause(root: CorpusRoot, plan: MixturePlan) -> np.ndarray[Any, Any] | str:
    try:
        (stream,) = open_streams(root, plan, "train")
    except ShardError as error:
        return str(error)
    out = np.empty(stream.tokens, dtype=np.int64)
    stream.read(0, out)
    return out


def test_readers_refuse_a_flipped_shard_or_read_the_same_tokens(corpus: Path) -> None:
    # Every byte outside the tokens, and some of the tokens: padding apart, each is refused by name.
    plan, root = plan_of(corpus), CorpusRoot(str(corpus))
    one = plan.model_copy(
        update={"train": tuple(stream.model_copy(update={"shards": stream.shards[:1]}) for stream in plan.train[:1])}
    )
    path = corpus / one.train[0].shards[0].path
    content = path.read_bytes()
    tokens = pa.ipc.open_file(path).read_all().column("token").to_numpy().tobytes()
    first = content.find(tokens)
    wanted = np.frombuffer(tokens, np.uint16)
    places = [*range(first), *range(first, first + len(tokens), 97), *range(first + len(tokens), len(content))]
    refused = 0
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        found = tokens_or_cause(root, one)
        if isinstance(found, str):
            assert "shard-00000.arrow" in found
            refused += 1
        else:
            assert np.array_equal(found, wanted), place
            assert not first <= place < first + len(tokens)
    assert refused > len(places) * 0.5


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_a_truncated_file_is_refused_by_name(corpus: Path, keep: float) -> None:
    for name in ("shard-00000.arrow", "index.parquet"):
        path = stream_of(corpus) / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep) if keep == 0.5 else int(keep)])
        assert any(line.startswith(f"{path.relative_to(corpus)}: has ") for line in problems(corpus))
        with pytest.raises(ShardError, match=name):
            open_streams(CorpusRoot(str(corpus)), plan_of(corpus), "train", boundaries=True)
        path.write_bytes(content)


def swap(name: str, **other: str) -> Change:
    return lambda corpus: shutil.copy(stream_of(corpus, **other) / name, stream_of(corpus) / name)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (swap("shard-00000.arrow", tokenizer="other"), "shard-00000.arrow", "its header says tokenizer fingerprint"),
        (swap("shard-00000.arrow", partition="q"), "shard-00000.arrow", "its header says partition q, it should be p"),
        (swap("index.parquet", tokenizer="other"), "index.parquet", "its header says tokenizer fingerprint"),
        (swap("index.parquet", partition="q"), "index.parquet", "its header says partition q, it should be p"),
    ],
    ids=["shard-tokenizer", "shard-partition", "index-tokenizer", "index-partition"],
)
def test_a_file_of_another_stream_is_refused_by_name_and_cause(
    corpus: Path, change: Change, name: str, said: str
) -> None:
    change(corpus)
    found = [line for line in problems(corpus) if line.startswith(f"tokens/bpe/train/web/p/{name}: ")]
    assert any(said in line for line in found)
    with pytest.raises(ShardError, match=rf"web/p/{name} (has|is damaged or another index)"):
        open_streams(CorpusRoot(str(corpus)), plan_of(corpus), "train", boundaries=True)


def test_two_shards_of_a_stream_that_change_places_are_found(corpus: Path) -> None:
    first, second = (stream_of(corpus) / f"shard-0000{n}.arrow" for n in (0, 1))
    content = first.read_bytes()
    shutil.copy(second, first)
    second.write_bytes(content)
    found = problems(corpus)
    assert any("shard-00000.arrow: its header says number 1, it should be 0" in line for line in found)
    with pytest.raises(ShardError, match=r"shard-00000\.arrow has (tokens|checksum|place) "):
        open_streams(CorpusRoot(str(corpus)), plan_of(corpus), "train")


def rewrite_index(corpus: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the index together with the manifest's account of it, as a faulty writer would have made both."""
    path = stream_of(corpus) / "index.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    for file in manifest["tables"]["tokens/bpe/train"]["files"]:
        if file["name"] == "index.parquet":
            file.update(bytes=path.stat().st_size, checksum=file_checksum(Folder(str(path.parent)), "index.parquet"))
    (path.parent / "manifest.json").write_text(json.dumps(manifest))


def set_column(table: pa.Table, name: str, value: Callable[[list[Any]], list[Any]]) -> pa.Table:
    place, field = table.schema.get_field_index(name), table.schema.field(name)
    return table.set_column(place, field, pa.array(value(table.column(name).to_pylist()), field.type))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: set_column(t, "start", lambda v: [v[0], v[1] + 1, *v[2:]]), "do not follow each other"),
        (lambda t: set_column(t, "utf8_bytes", lambda v: [v[0] + 1, *v[1:]]), "bytes, its row says"),
        (lambda t: set_column(t, "document_id", lambda v: [v[1], v[0], *v[2:]]), "not in the order of document id"),
        (lambda t: set_column(t, "document_id", lambda v: [b"\0" * 16, *v[1:]]), "is not in documents/"),
        (lambda t: set_column(t, "piece", lambda v: [1, *v[1:]]), "piece 1 where 0 should be"),
        (lambda t: t.replace_schema_metadata(None), "is not a token index: its schema has no corpusmill header"),
        (lambda t: t.drop_columns(["url"]), "an index has start, length"),
    ],
)
def test_an_index_that_was_written_wrong_is_found_by_what_it_says(
    corpus: Path, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    rewrite_index(corpus, change)
    assert any(said in line for line in problems(corpus))


def test_rows_files_tokenizers_and_plans_are_compared_too(corpus: Path) -> None:
    documents = corpus / "documents" / "web" / "p" / "part-00000.parquet"
    table = pq.read_table(documents)
    pq.write_table(set_column(table, "text", lambda v: [v[0][::-1], *v[1:]]), documents, compression="zstd")
    assert any(line.startswith("documents/web/p") for line in problems(corpus))
    documents.unlink()
    assert "documents/web/p/part-00000.parquet: is missing, and its manifest lists it" in problems(corpus)
    path = corpus / "tokenizers" / "other" / "tokenizer.json"
    path.write_text(path.read_text().replace("endoftext", "endofword"))
    assert any(
        line.startswith("tokenizers/other: ") and "was changed after it was made" in line for line in problems(corpus)
    )
    (corpus / "mixtures" / "main.json").write_text("{")
    assert any(line.startswith("mixtures/main.json: ") for line in problems(corpus))
    (corpus / "tokens" / "bpe" / "train" / "web" / "q" / "manifest.json").write_text("[")
    assert any("train/web/q/manifest.json: " in line for line in problems(corpus))


def test_a_document_that_is_not_in_the_stream_is_found(corpus: Path, corpus_writer: Any) -> None:
    # A decision that came after the tokens were written, taken back: the document is kept and has no tokens.
    key = PartitionKey("web", "p")
    root = CorpusRoot(str(corpus))
    kept = pq.read_table(stream_of(corpus) / "index.parquet").column("document_id")[0].as_py()
    writer = type(corpus_writer)(root)
    writer.duplicates(key, [kept])
    stage(tokenize_stage, root, TokenizeConfig(tokenizer="bpe", shard_tokens=300, **SHARES))
    assert not [line for line in problems(corpus) if "tokens/bpe/" in line and "mixture main pins" not in line]
    writer.duplicates(key, [])
    stale = "tokens/bpe/train/web/p: is older than its documents, or than decisions about them: run tokenize"
    assert stale in problems(corpus)
    place = StreamPlace(root, key, "train", read_tokenizer(root, "bpe"))
    found = Findings()
    unit = read_manifest(place.folder)
    assert unit is not None
    stream = open_stream(place, unit.tables["tokens/bpe/train"].files, found)
    assert stream is not None
    compare_texts(place, stream, (0.2, 0.2), found)
    assert [problem.cause for problem in found.problems] == [f"document {kept.hex()} is in documents/ and not here"]


def test_pieces_are_those_that_cuts_leave(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, key = CorpusRoot(str(corpus)), PartitionKey("web", "p")
    cut, dropped, whole = pq.read_table(stream_of(corpus) / "index.parquet").column("document_id").to_pylist()[:3]
    cuts = AppliedCuts({cut: [(3, 5)], whole: [(0, 2)]}, frozenset([dropped]), CutRules(reach=0, least=1, most=9))
    monkeypatch.setattr(texts, "read_cuts", lambda *_: cuts)
    place, found = StreamPlace(root, key, "train", read_tokenizer(root, "bpe")), Findings()
    unit = read_manifest(place.folder)
    assert unit is not None
    stream = open_stream(place, unit.tables["tokens/bpe/train"].files, found)
    assert stream is not None
    compare_texts(place, stream, (0.2, 0.2), found)
    assert sorted(problem.cause for problem in found.problems) == sorted(
        [
            f"document {cut.hex()}: it has 1 pieces here, and decisions about it leave 2",
            f"document {dropped.hex()}: it has 1 pieces here, and decisions about it leave 0",
            f"document {whole.hex()}: other text than documents/ has",
        ]
    )
