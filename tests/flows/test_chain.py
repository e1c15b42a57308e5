"""What is called for each step, and what makes a step of the past count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flows.chain import (
    CORPUS_STAGES,
    digest_step,
    evaluate_step,
    finetune_step,
    pretrain_step,
    report_step,
    stage_step,
)
from flows.corpus_build import planned_stages
from flows.receipts import Receipt, write_receipt
from flows.registry import STAGES
from schemas.configs.flows import (
    CorpusBuildParameters,
    EvaluateParameters,
    FinetuneParameters,
    PretrainParameters,
)
from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError
from schemas.mixture import MixturePlan, Phase, SourceShare, SourceStream, write_mixture
from schemas.run import RunConfig, write_run


def build(root: CorpusRoot, **more) -> CorpusBuildParameters:
    about = {"root": root.url, "source": "web", "partition": "2026/07", "seed_urls": ("http://a.example/",)}
    return CorpusBuildParameters(**{**about, **more})


def words(step) -> str:
    """The command line of a step, from the name of the program on."""
    assert step.argv[:2] == (sys.executable, "-m")
    return " ".join(step.argv[2:])


def test_the_chain_goes_through_every_stage():
    beside_the_chain = {"quality"}
    assert tuple(name for name in STAGES if name not in beside_the_chain) == CORPUS_STAGES


def test_stages_of_a_partition_are_told_which(corpus_root: CorpusRoot):
    root = corpus_root.url
    one = f"--root {root} --source web --partition 2026/07"
    parameters = build(corpus_root, workers=2, config="c.toml")
    rest = "--workers 2 --config c.toml --json"
    crawl = words(stage_step("crawl", parameters))
    assert crawl == f"flows.cli run crawl {one} --seed-url http://a.example/ {rest}"
    clean = words(stage_step("clean", parameters))
    assert clean == f"flows.cli run clean {one} --input {root}/crawl/web/2026/07 {rest}"
    assert words(stage_step("dedup", parameters)) == f"flows.cli run dedup {one} {rest}"
    sets = build(corpus_root, workers=2, config="c.toml", evaluations=("a.jsonl", "sets"))
    decontaminate = words(stage_step("decontaminate", sets))
    assert decontaminate == f"flows.cli run decontaminate {one} --input a.jsonl --input sets {rest}"
    assert words(stage_step("mix", parameters)) == f"flows.cli run mix --root {root} {rest}"


def test_what_is_called_is_what_a_person_would_type(corpus_root: CorpusRoot):
    clean = stage_step("clean", build(corpus_root, partition="2026-07", seed_urls=(), inputs=("a b.warc",)))
    assert clean.partition == "web/2026-07"
    assert clean.resume == f"corpusmill {words(clean).removeprefix('flows.cli ').removesuffix(' --json')}".replace(
        "a b.warc", "'a b.warc'"
    )
    mix = stage_step("mix", build(corpus_root))
    assert (mix.partition, mix.resume) == ("", f"corpusmill run mix --root {corpus_root.url}")


def test_pages_of_common_crawl_need_no_input(corpus_root: CorpusRoot):
    parameters = build(corpus_root, seed_urls=(), partition="CC-MAIN-2026-30/00000", common_crawl="https://cc.example/")
    clean = words(stage_step("clean", parameters))
    assert clean.endswith("--partition CC-MAIN-2026-30/00000 --set common_crawl.base_url=https://cc.example/ --json")


def test_stages_without_anything_to_do_are_not_planned(corpus_root: CorpusRoot, tmp_path: Path):
    assert set(CORPUS_STAGES) - set(planned_stages(build(corpus_root))) == {"decontaminate"}
    own = build(corpus_root, seed_urls=(), inputs=("a.warc",), evaluations=("set.jsonl",))
    assert set(CORPUS_STAGES) - set(planned_stages(own)) == {"crawl"}
    (tmp_path / "c.toml").write_text('[decontaminate]\nevaluations = ["set.jsonl"]\n')
    assert planned_stages(build(corpus_root, config=str(tmp_path / "c.toml"))) == list(CORPUS_STAGES)


def test_inputs_of_the_users_own_are_read_as_they_are(corpus_root: CorpusRoot):
    parameters = build(corpus_root, seed_urls=(), inputs=("a b.warc", "c"))
    assert stage_step("clean", parameters).argv[-5:] == ("--input", "a b.warc", "--input", "c", "--json")


def test_a_stage_may_be_left_out_only_where_the_flow_says_so(corpus_root: CorpusRoot):
    assert not stage_step("mix", build(corpus_root)).may_be_left_out
    assert stage_step("mix", build(corpus_root, small_corpus="leave out")).may_be_left_out


def plan(samples: int = 8) -> MixturePlan:
    stream = SourceStream(source="web", tokens=1000, utf8_bytes=4000, documents=3, shards=())
    share = SourceShare(source="web", weight=1, samples=samples, windows=samples)
    return MixturePlan(
        name="main",
        tokenizer="bpe",
        tokenizer_fingerprint="f",
        vocabulary_size=300,
        end_of_text=299,
        sequence_length=64,
        seed=0,
        train=(stream,),
        validation=(),
        test=(),
        phases=(Phase(samples=samples, planned=samples, shares=(share,)),),
    )


def pretrain_parameters(root: CorpusRoot, settings: Path, toml: str) -> PretrainParameters:
    settings.write_text(toml)
    return PretrainParameters(root=root.url, mixture="main", config=str(settings))


def test_a_run_is_named_after_its_plan_and_settings(corpus_root: CorpusRoot, tmp_path: Path):
    write_mixture(corpus_root.mixture_folder(), plan())

    def run_of(toml: str) -> str:
        return pretrain_step(pretrain_parameters(corpus_root, tmp_path / "settings.toml", toml))[1]

    first = run_of("[train]\nsteps = 10\n")
    assert first.startswith(f"{corpus_root.url}/runs/pretrain-")
    assert run_of("[train]\nsteps = 10\nprogress_seconds = 9\n[crawl]\nmax_pages = 3\n") == first
    assert run_of("[train]\nsteps = 11\n") != first
    write_mixture(corpus_root.mixture_folder(), plan(samples=9))
    assert run_of("[train]\nsteps = 10\n") != first


def test_training_counts_as_done_while_its_settings_and_its_files_are_there(corpus_root: CorpusRoot, tmp_path: Path):
    write_mixture(corpus_root.mixture_folder(), plan())
    step, run = pretrain_step(pretrain_parameters(corpus_root, tmp_path / "settings.toml", ""))
    assert step.grace_seconds > TrainConfig().grace_seconds  # what it takes to save
    assert words(step).startswith(f"training train --root {corpus_root.url} --mixture main --run {run} --config ")
    about = {"step": step.name, "outputs": step.outputs, "seconds": 1.0, "peak_memory_bytes": 1}
    receipt = Receipt(fingerprint=step.fingerprint, result={"loss": 3.0}, **about)
    assert step.done(None) is None
    assert step.done(receipt) is None  # what it lists is not there
    for output in step.outputs:
        Path(output).mkdir(parents=True)
    assert step.done(receipt) == {"loss": 3.0}
    assert step.done(Receipt(fingerprint="other", result={}, **about)) is None


@pytest.fixture
def trained(tmp_path: Path) -> str:
    """The folder of a run that has a checkpoint."""
    run = tmp_path / "runs" / "first"
    (run / "checkpoints" / "step-000010").mkdir(parents=True)
    description = RunConfig(
        root="r",
        mixture="main",
        plan_digest="p",
        tokenizer="bpe",
        end_of_text=299,
        model=ModelConfig(vocabulary_size=300, context=64, layers=1, heads=2, width=32, band=16),
        seed=0,
        settings={},
    )
    write_run(str(run), description)
    return str(run)


def test_scores_depend_on_the_checkpoint_and_on_every_item(corpus_root: CorpusRoot, trained: str, tmp_path: Path):
    (tmp_path / "suite.toml").write_text(
        'name = "s"\n[[tasks]]\nname = "t"\nkind = "generation"\nitems = "items.jsonl"\n'
    )
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "1", "prompt": "a", "answers": ["b"]}\n')
    parameters = EvaluateParameters(root=corpus_root.url, run=trained, suite=str(tmp_path / "suite.toml"))
    first = evaluate_step(parameters)
    assert words(first) == f"training evaluate --run {trained} --suite {tmp_path}/suite.toml --json"
    assert evaluate_step(parameters).fingerprint == first.fingerprint
    items.write_text('{"id": "1", "prompt": "a", "answers": ["c"]}\n')
    second = evaluate_step(parameters)
    assert second.fingerprint != first.fingerprint
    (Path(trained) / "checkpoints" / "step-000020").mkdir()
    assert evaluate_step(parameters).fingerprint != second.fingerprint


def test_a_tuned_run_is_named_after_what_it_comes_from(corpus_root: CorpusRoot, trained: str, tmp_path: Path):
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "a", "answer": "b"}\n')
    parameters = FinetuneParameters(root=corpus_root.url, run=trained, data=str(data))
    step, out = finetune_step(parameters)
    assert step.grace_seconds > TrainConfig().grace_seconds
    assert words(step) == f"training finetune --run {trained} --data {data} --out {out} --json"
    assert out.startswith(f"{corpus_root.url}/runs/finetune-")
    data.write_text('{"prompt": "a", "answer": "c"}\n')
    assert finetune_step(parameters)[1] != out
    with_test, _ = finetune_step(parameters.model_copy(update={"test": str(data), "out": "there"}))
    assert f"--out there --test {data}" in words(with_test)


def test_a_tuned_run_depends_on_validation_pairs_and_on_the_items_of_its_suite(
    corpus_root: CorpusRoot, trained: str, tmp_path: Path
):
    data, items, suite = (tmp_path / name for name in ("pairs.jsonl", "items.jsonl", "suite.toml"))
    data.write_text('{"prompt": "a", "answer": "b"}\n')
    items.write_text('{"id": "1", "prompt": "a", "answers": ["b"]}\n')
    suite.write_text('name = "s"\n[[tasks]]\nname = "t"\nkind = "generation"\nitems = "items.jsonl"\n')
    about = {"root": corpus_root.url, "run": trained, "data": str(data), "out": "there"}
    plain, _ = finetune_step(FinetuneParameters(**about))
    validated, _ = finetune_step(FinetuneParameters(**about, validation=str(data)))
    scored, _ = finetune_step(FinetuneParameters(**about, validation=str(data), suite=str(suite)))
    assert f"--out there --validation {data} --suite {suite}" in words(scored)
    items.write_text('{"id": "1", "prompt": "a", "answers": ["c"]}\n')
    changed, _ = finetune_step(FinetuneParameters(**about, validation=str(data), suite=str(suite)))
    assert len({one.fingerprint for one in (plain, validated, scored, changed)}) == 4


def test_what_cannot_be_read_is_named(corpus_root: CorpusRoot, trained: str):
    with pytest.raises(InputError, match="no mixture 'main'"):
        pretrain_step(PretrainParameters(root=corpus_root.url, mixture="main"))
    with pytest.raises(InputError, match="no training run in nowhere"):
        finetune_step(FinetuneParameters(root=corpus_root.url, run="nowhere", data="x"))
    with pytest.raises(InputError, match=r"cannot read gone\.jsonl"):
        finetune_step(FinetuneParameters(root=corpus_root.url, run=trained, data="gone.jsonl"))


def test_digest_and_report_are_made_anew_when_a_manifest_or_a_receipt_changes(corpus_root: CorpusRoot):
    out = f"{corpus_root.url}/report.html"

    def marks() -> tuple[str, str]:
        return digest_step(corpus_root.url).fingerprint, report_step(corpus_root.url, "r", None, out).fingerprint

    assert words(report_step(corpus_root.url, "r", None, out)).endswith(
        f"report {corpus_root.url} --out {out} --run r --json"
    )
    digest, report = marks()
    assert marks() == (digest, report)
    write_receipt(corpus_root, Receipt(step="mix", fingerprint="", result={}, seconds=1, peak_memory_bytes=1))
    assert marks()[0] == digest
    assert marks()[1] != report
    report = marks()[1]
    write_receipt(corpus_root, Receipt(step="report", fingerprint="", result={}, seconds=1, peak_memory_bytes=1))
    assert marks() == (digest, report)
    corpus_root.folder.child("documents", "web", "7").put_whole("manifest.json", b"{}")
    assert marks()[0] != digest
    assert marks()[1] != report
