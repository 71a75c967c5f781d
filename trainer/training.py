"""Trains an adapter with PEFT and TRL, and writes it with its manifest. Needs the libraries of `trainer.lock`."""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PrinterCallback,
    TrainerCallback,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from edge import ssh_signatures, weights
from trainer import canaries, data_sets, manifest, memorisation
from trainer.data_sets import Example
from trainer.errors import TrainerError
from trainer.recipe import Recipe
from trainer.tokens import Tokenised, tokenise

LOCK = Path(__file__).with_name("trainer.lock")
COMPLETE = "isthmus-complete"
"""File in a checkpoint that was written to its end."""
BATCH_EVALUATED = 8


@dataclass(frozen=True)
class Job:
    """What to train, and where."""

    recipe: Recipe
    folder: Path
    """To which the paths of the recipe's data sets are relative."""
    base: Path
    """Folder with the weights of the base model, and SHA256SUMS."""
    output: Path
    checkpoints: Path
    private_key: bytes | None
    """Signs the manifest."""


@dataclass(frozen=True)
class Parts:
    """The examples of a training, apart."""

    trained: list[Example]
    held_out: list[Example]
    canaries: list[canaries.Canary]


class Interrupted(Exception):
    """The training was asked to stop. It goes on from its last checkpoint."""


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second run of the same job out. Raises `TrainerError`."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainerError(
                "environment", "another run trains this adapter", str(folder), "Wait for it, or end it"
            ) from None
        yield


def train(job: Job, report: Callable[[dict[str, Any]], None], stop: threading.Event) -> manifest.Manifest:
    """Train an adapter, or go on where a run of the same job ended.

    Args:
        job: what to train.
        report: is told the progress: `{"stage": …}`, or `{"step": …, "steps": …, "loss": …}`.
        stop: once it is set, the training writes a checkpoint and ends.

    Returns:
        The manifest. It is in the output folder, with the adapter.

    Raises:
        TrainerError: the inputs may not be used, or this machine cannot train.
        Interrupted: `stop` was set.
    """
    report({"stage": "checking the data and the base model"})
    examples, lineage = data_sets.read(job.recipe, job.folder, datetime.now(UTC).date())
    _check_base(job)
    _check_machine(job.recipe)
    parts = split(job.recipe, examples)
    _prepare(job.recipe)
    report({"stage": "loading the base model"})
    tokenizer = _tokenizer(job.base)
    limit = job.recipe.training.max_tokens
    secrets = [canary.trained for canary in parts.canaries]
    trained = [tokenise(tokenizer, example, limit) for example in (*parts.trained, *secrets)]
    held_out = [tokenise(tokenizer, example, limit) for example in parts.held_out]
    checkpoints = _checkpoint_folder(job)
    with _alone(checkpoints):
        trainer = _trainer(job, tokenizer, trained, checkpoints, Watch(report, stop))
        last = _last_checkpoint(checkpoints)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if stop.is_set():
            raise Interrupted
        report({"stage": "measuring what it learned"})
        model = trainer.model.eval()
        metrics = manifest.Metrics(
            trained_examples=len(parts.trained),
            held_out_examples=len(parts.held_out),
            steps=trainer.state.global_step,
            trained_tokens=sum(len(example.ids) for example in trained),
            train_loss=_rounded(_train_loss(trainer.state)),
            held_out_loss_base=_rounded(_base_loss(model, held_out)),
            held_out_loss=_rounded(memorisation.mean_loss(model, held_out, BATCH_EVALUATED)),
        )
        report({"stage": "measuring what it memorised"})
        known = _memorised(job.recipe, model, tokenizer, parts)
        if stop.is_set():
            raise Interrupted
        facts = _write(job, trainer, lineage, metrics, known)
        shutil.rmtree(checkpoints)
    return facts


def split(recipe: Recipe, examples: Sequence[Example]) -> Parts:
    """Part the examples by their digests, so that an example stays on its side when others are added."""
    digests = [example.sha256 for example in examples]
    held_out = {digest for digest in digests if int(digest[:8], 16) % 100 < recipe.holdout_percent}
    if not held_out or len(held_out) == len(examples):
        held_out = {min(digests)}
    sides: tuple[list[Example], list[Example]] = ([], [])
    for digest, example in zip(digests, examples, strict=True):
        sides[digest in held_out].append(example)
    settings = recipe.memorisation
    return Parts(*sides, canaries.make(recipe.training.seed, settings.canaries, settings.references))


class Watch(TrainerCallback):
    """Reports each step, marks checkpoints that are complete, and stops at a step's end."""

    def __init__(self, report: Callable[[dict[str, Any]], None], stop: threading.Event) -> None:
        self._report, self._stop = report, stop

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self._report({"step": state.global_step, "steps": state.max_steps, "loss": float(logs["loss"])})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self._stop.is_set():
            control.should_save = control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        for file in folder.rglob("*"):
            _sync(file)
        manifest.write_whole(folder / COMPLETE, b"")
        _sync(folder)
        self._report({"checkpoint": state.global_step})


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_base(job: Job) -> None:
    try:
        weights.verify(job.base, job.recipe.base.digest, os.cpu_count() or 1)
    except (weights.NotAsPromised, UnicodeDecodeError) as error:
        raise TrainerError(
            "refused",
            f"the folder is not the base model of the recipe: {error}",
            str(job.base),
            "Take the weights of that digest; `python -m edge.weights manifest FOLDER` prints a folder's",
        ) from None
    except OSError as error:
        raise TrainerError(
            "input", f"the folder cannot be read: {error.strerror}", str(job.base), "Check --base"
        ) from None


def _check_machine(recipe: Recipe) -> None:
    if recipe.method == "qlora" and not torch.cuda.is_available():
        raise TrainerError(
            "environment",
            "QLoRA needs an NVIDIA GPU, and this machine has none",
            "method",
            "Write `method: lora`, or train on a machine with a GPU",
        )


def _prepare(recipe: Recipe) -> None:
    torch.set_num_threads(recipe.training.threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    set_seed(recipe.training.seed)


def _tokenizer(base: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise TrainerError(
            "input",
            "the base model has no chat template",
            str(base),
            "Take a model that was trained to chat (`Instruct`)",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _model(job: Job) -> Any:
    precision = getattr(torch, job.recipe.training.precision)
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    try:
        return AutoModelForCausalLM.from_pretrained(
            job.base,
            dtype=precision,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            quantization_config=quantised if job.recipe.method == "qlora" else None,
        )
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainerError("input", f"the base model cannot be loaded: {reason}", str(job.base)) from None


def _trainer(job: Job, tokenizer: Any, examples: list[Tokenised], folder: Path, watch: Watch) -> Any:
    recipe, settings = job.recipe, job.recipe.training
    rows = [{"input_ids": example.ids, "labels": example.labels} for example in examples]
    arguments = SFTConfig(
        output_dir=str(folder),
        seed=settings.seed,
        data_seed=settings.seed,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        max_length=None,
        packing=False,
        use_cpu=not torch.cuda.is_available(),
        bf16=settings.precision == "bfloat16" and torch.cuda.is_available(),
        fp16=False,
        tf32=None,
        activation_checkpointing=torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    targets = recipe.lora.targets
    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        trainer = SFTTrainer(
            model=_model(job),
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[watch],
        )
    except ValueError as error:
        if "target modules" not in str(error).lower():
            raise
        raise TrainerError(
            "input",
            f"the base model has no layers {targets}",
            "lora.targets",
            "Write `all-linear`, or names of its linear layers",
        ) from None
    trainer.remove_callback(PrinterCallback)
    return trainer


def _checkpoint_folder(job: Job) -> Path:
    """The folder of exactly this job. Another recipe, base model or library begins anew."""
    facts = f"{job.recipe.sha256()} {_lock_digest()} {'cuda' if torch.cuda.is_available() else 'cpu'}"
    folder = job.checkpoints / hashlib.sha256(facts.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint that was written to its end. Others are removed."""
    complete = {}
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / COMPLETE).exists():
            complete[int(checkpoint.name.rpartition("-")[2])] = checkpoint
        else:
            shutil.rmtree(checkpoint)
    return complete[max(complete)] if complete else None


def _train_loss(state: Any) -> float:
    """Mean loss of all steps, also of those before an interruption."""
    losses = [float(entry["loss"]) for entry in state.log_history if "loss" in entry]
    return sum(losses) / len(losses)


def _base_loss(model: Any, examples: Sequence[Tokenised]) -> float:
    with model.disable_adapter():
        return memorisation.mean_loss(model, examples, BATCH_EVALUATED)


def _memorised(recipe: Recipe, model: Any, tokenizer: Any, parts: Parts) -> manifest.MemorisationFacts:
    settings = recipe.memorisation
    exposures, canaries_extracted = [], 0
    for canary in parts.canaries:
        together = [tokenise(tokenizer, example) for example in (canary.trained, *canary.references)]
        losses = memorisation.summed_losses(model, together, BATCH_EVALUATED)
        exposures.append(canaries.exposure_bits(losses[0], losses[1:]))
        canaries_extracted += memorisation.says(model, tokenizer, together[0], canary.trained.answer)
    answers = [example.answer for example in parts.trained[: settings.examples]]
    questions, extracted = memorisation.extracted(model, tokenizer, answers)
    mean = sum(exposures) / len(exposures)
    percent = 100 * extracted / questions if questions else 0.0
    return manifest.MemorisationFacts(
        canaries=len(exposures),
        mean_exposure_bits=_rounded(mean),
        max_exposure_bits=settings.max_exposure_bits,
        canaries_extracted=canaries_extracted,
        examples=questions,
        extracted=extracted,
        max_extracted_percent=settings.max_extracted_percent,
        passed=mean <= settings.max_exposure_bits
        and canaries_extracted == 0
        and percent <= settings.max_extracted_percent,
    )


def _write(
    job: Job,
    trainer: Any,
    lineage: Sequence[manifest.DataFacts],
    metrics: manifest.Metrics,
    known: manifest.MemorisationFacts,
) -> manifest.Manifest:
    """Write the adapter and its manifest. The manifest comes last: without it, there is no adapter."""
    recipe, folder = job.recipe, job.output / manifest.ADAPTER
    writing = job.output / f".{manifest.ADAPTER}.writing"
    for old in (writing, folder):
        shutil.rmtree(old, ignore_errors=True)
    (job.output / manifest.FILE).unlink(missing_ok=True)
    trainer.model.save_pretrained(writing, safe_serialization=True)
    for file in writing.iterdir():
        if file.name not in ("adapter_config.json", "adapter_model.safetensors"):
            file.unlink()
    _tidy(writing / "adapter_config.json", recipe)
    text = weights.manifest(writing)
    manifest.write_whole(writing / weights.NAME, text.encode())
    size = (writing / "adapter_model.safetensors").stat().st_size
    writing.replace(folder)
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"data", "base", "name", "data_class"})
    facts = manifest.Manifest.model_validate(
        {
            "name": recipe.name,
            "class": recipe.data_class,
            "groups": tuple(sorted({group for data in lineage for group in data.groups})),
            "adapter": manifest.Adapter(
                digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
                rank=recipe.lora.rank,
                size_mib=round(size / 2**20, 3),
            ),
            "base": manifest.BaseModelFacts(**recipe.base.model_dump()),
            "data": tuple(lineage),
            "licences": tuple(
                sorted({recipe.base.licence, *(name for data in lineage for name in data.licences)})
            ),
            "method": recipe.method,
            "seed": recipe.training.seed,
            "recipe_sha256": recipe.sha256(),
            "recipe": settings,
            "programs": _programs(recipe),
            "metrics": metrics,
            "memorisation": known,
            "trained_by": ssh_signatures.public_key_of(job.private_key) if job.private_key else None,
        }
    )
    manifest.write(job.output, facts, job.private_key)
    return facts


def _tidy(config: Path, recipe: Recipe) -> None:
    """Write the adapter's settings in one order, without the path of the base model."""
    settings = json.loads(config.read_text("utf-8"))
    settings["base_model_name_or_path"] = recipe.base.model
    if isinstance(settings.get("target_modules"), list):
        settings["target_modules"] = sorted(settings["target_modules"])
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def _programs(recipe: Recipe) -> manifest.Programs:
    return manifest.Programs(
        lock=_lock_digest(),
        torch=str(torch.__version__),
        **{name: version(name) for name in ("transformers", "peft", "trl")},
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        threads=recipe.training.threads,
    )


def _lock_digest() -> str:
    return "sha256:" + hashlib.sha256(LOCK.read_bytes()).hexdigest()


def _rounded(number: float) -> float:
    """A number as the manifest has it. A loss that is no number stays visible as one that no limit allows."""
    return round(float(number), 6) if math.isfinite(number) else 1e9
