from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from schemas.clean_dirty import LISTS
from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.export import ExportConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest, write_manifest
from schemas.run import read_run
from training.checkpoints import load_model
from training.evaluation.evaluate import evaluate
from training.export.card_facts import read_facts
from training.export.export import export_run
from training.export.model_card import model_card
from training.finetuning.finetune import finetune
from training.finetuning.job import Sources

CONFIG = FinetuneConfig(method="lora", epochs=3, batch=4, max_tokens=4, precision="fp32", learning_rate=0.01)


def put_manifest(root: CorpusRoot, stage: str, table: str, counts: dict[str, int], seconds: float) -> None:
    about = {"stage_version": 1, "source": "web", "partition": "one", "config": {}, "inputs": (), "tables": {}}
    manifest = Manifest(stage=stage, fingerprint="", counts=counts, seconds=seconds, workers=2, **about)
    folder = root.partition_folder(table, PartitionKey("web", "one"))
    folder.make()
    write_manifest(folder, manifest)


@pytest.fixture
def card_corpus(trained_run: str, tmp_path: Path) -> str:
    """The trained run, with its corpus beside it, in which the manifests of three stages lie."""
    config = read_run(trained_run)
    assert config is not None
    copy = tmp_path / "corpus"
    shutil.copytree(config.root, copy)
    path = Path(trained_run, "config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "root": str(copy)}))
    root = CorpusRoot(str(copy))
    counts = {"items": 1000, "documents": 700, "dropped.too-short": 200, "dropped.language": 60, "dead.html": 40}
    put_manifest(root, "clean", "documents", counts, 1800.0)
    put_manifest(root, "dedup", "duplicates", {"exact_removed": 30, "near_removed": 12}, 900.0)
    put_manifest(root, "decontaminate", "contaminated", {"cut_documents": 5, "dropped_documents": 2}, 900.0)
    return str(copy)


def write_suite(folder: Path, corpus: str) -> str:
    words = ("cat", "dog", "tree", "bird")
    items = [{"id": w, "context": f"the {w}", "choices": ["sees", "near"], "answer": 0} for w in words]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "suite.toml").write_text(
        'name = "words"\n[[tasks]]\nname = "next"\nkind = "multiple_choice"\nitems = "items.jsonl"\n'
    )
    lists = Path(corpus, LISTS, "words")
    lists.mkdir(parents=True)
    rows = [{"id": w, "status": "dirty" if w == "cat" else "clean", "documents": 0, "left": 0} for w in words]
    (lists / "next.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "suite.toml")


def rows_of(card: str, heading: str) -> list[list[str]]:
    """The lines of the first table below a heading, cut in cells."""
    below = card[card.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(below) if line.startswith("| "))
    lines = []
    for line in below[first + 2 :]:
        if not line.startswith("| "):
            break
        lines.append([cell.strip() for cell in line.strip("|").split("|")])
    return lines


def test_the_card_of_a_pretrained_model_says_what_its_records_say(
    trained_run: str, card_corpus: str, tmp_path: Path
) -> None:
    scores = evaluate(trained_run, write_suite(tmp_path, card_corpus), EvaluateConfig()).scores
    result = export_run(trained_run, str(tmp_path / "out"), ExportConfig())
    assert "README.md" in result.files
    card = (tmp_path / "out" / "README.md").read_text()
    config = read_run(trained_run)
    assert config is not None
    assert f"A GPT-3 model of {config.model.num_parameters():,} parameters: 2 layers (1 of them see a band of 8" in card
    assert "trust_remote_code=True" in card
    # 100 steps of 8 samples of 32 tokens; three of four are of books.
    books, web = rows_of(card, "## Data")
    assert (books[0], books[3], books[4]) == ("books", "0.750", "19,200")
    assert (web[0], web[3], web[4]) == ("web", "0.250", "6,400")
    assert "Cleaning kept 700 of 1,000 items; most others went for: too-short 200, language 60, html 40." in card
    assert "Deduplication removed 42 documents." in card
    assert "5 documents were cut, 2 dropped." in card
    (contaminated,) = rows_of(card, "## Contamination")
    assert (contaminated[0], contaminated[4], contaminated[6]) == ("next", "3", "1")
    (score,) = rows_of(card, "## Scores")
    assert score[:4] == ["words", "next", "0", "accuracy"]
    assert score[4].split(" ± ")[0] == f"{scores[0].value:.4g}"
    recipe = dict(rows_of(card, "## Recipe"))
    assert (recipe["batch"], recipe["learning_rate"]) == ("`8`", "`0.02`")
    metrics = [json.loads(line) for line in Path(trained_run, "metrics.jsonl").read_text().splitlines()]
    assert f"100 steps, 25,600 tokens, last training loss {metrics[-1]['loss']:.4f}" in card
    (cost,) = rows_of(card, "## Cost")
    assert cost[:2] == ["trained", f"{sum(row['seconds'] for row in metrics):,.0f}"]
    assert "Making the corpus took 2 core-hours." in card


def test_the_card_of_a_fine_tuned_model_tells_of_both_runs(trained_run: str, card_corpus: str, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "the a", "answer": "red"}\n' * 8 + '{"prompt": "a red", "answer": "old"}\n' * 8)
    out = str(tmp_path / "tuned")
    result = finetune(Sources(base=trained_run, data=str(pairs), test=str(pairs)), out, CONFIG)
    card = model_card(read_facts(out, load_model(out).step, "corpusmill"))
    assert "# tuned" in card
    assert '"lora"' in card
    assert card.index("**Pretraining** (`trained`)") < card.index("**Fine-tuning** (`tuned`): 12 steps")
    changes = {row[0]: row for row in rows_of(card, "before and after fine-tuning:")}
    assert changes["answer_loss"][2].startswith(f"{result.scores['answer_loss'].after.value:.4g}")
    assert f"({result.forgetting.tokens:,} tokens) it gives {result.forgetting.after:.4g}" in card
    assert [row[0] for row in rows_of(card, "## Cost")] == ["trained", "tuned"]
    shutil.rmtree(trained_run)
    shutil.rmtree(card_corpus)
    alone = model_card(read_facts(out, load_model(out).step, "corpusmill"))
    assert "The run that it came from, `trained`, was not at hand." in alone
    assert "Unknown: the model came from elsewhere, or its corpus was not at hand." in alone
    assert "Unknown: no decontamination of the training text is on record." in alone


def test_a_folder_without_a_run_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training run in .*; give the folder of a run"):
        read_facts(str(tmp_path), 1, "gpt2")
