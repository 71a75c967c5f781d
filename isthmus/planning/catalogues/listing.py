"""Lists what can be planned: models by task, class, region, licence, price and memory; GPUs by memory and region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from isthmus.contracts.reference.handling import allowed_targets
from isthmus.contracts.reference.jurisdictions import region_jurisdiction
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean
from isthmus.planning.catalogues import aws_instances, bedrock, gpus, models, tables
from isthmus.planning.catalogues.precision import weight_bytes

TASKS = ("chat", "embedding", "rerank", "guard")
_GIB = 1 << 30


@dataclass(frozen=True)
class ModelFilter:
    """Which models to list. None: any."""

    task: str | None = None
    region: str | None = None
    """Models of Bedrock that can be called from this region, and no open ones."""
    class_: Sensitivity | None = None
    """Models at places that the class may use without an exception."""
    licence: str | None = None
    """A part of the licence's name, in any case."""
    max_price: float | None = None
    """Models of Bedrock at this many USD for a million tokens, a fifth of them answers (`blended_usd`)."""
    memory_gib: float | None = None
    """GPU memory that the weights of an open model may take."""
    gpu: str | None = None
    """Open models whose weights one such GPU holds, with a tenth of its memory left for caches."""


@dataclass(frozen=True)
class ListedModel:
    """One model at one place."""

    model: str
    where: Literal["gpus", "bedrock"]
    task: str
    context_tokens: int
    licence: str
    excludes: tuple[str, ...] = ()
    """Uses that the licence excludes or restricts."""
    parameters_billion: float | None = None
    precisions: tuple[str, ...] = ()
    """Of published weights."""
    weights_gib: float | None = None
    """Memory of the weights in the smallest published precision that the GPU supports."""
    region: str | None = None
    profile: str | None = None
    """Inference profile by which it is called; None: in the region itself."""
    jurisdictions: tuple[str, ...] = ()
    """Where a request may be served."""
    input_usd: float | None = None
    """USD for a million tokens of prompts."""
    output_usd: float | None = None
    ends: str | None = None
    """Day on which Amazon ends the model, or may end it; None: none is known."""
    source: str = ""
    as_of: str = ""

    @property
    def blended_usd(self) -> float | None:
        """USD for a million tokens, a fifth of them answers."""
        if self.input_usd is None or self.output_usd is None:
            return None
        return 0.8 * self.input_usd + 0.2 * self.output_usd

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ListedGpu:
    """One kind of GPU, and the AWS instance that has it at the lowest price per GPU in a region."""

    gpu: str
    name: str
    memory_gib: float
    """What CUDA reports."""
    bandwidth_gb_s: float
    precisions: tuple[str, ...]
    mig: tuple[str, ...]
    """Profiles whose memory is known."""
    power_w: int
    instance: str | None = None
    gpus_of_instance: int | None = None
    usd_per_gpu_hour: float | None = None
    """On demand, for EKS."""
    source: str = ""
    as_of: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def list_models(wanted: ModelFilter) -> list[ListedModel]:
    """The models that can be planned: open ones by memory, those of Bedrock by price. Raises `InputError`."""
    _check(wanted)
    listed = [*_open_models(wanted), *_bedrock_models(wanted)]
    kept = [
        model
        for model in listed
        if (wanted.task is None or model.task == wanted.task)
        and (wanted.licence is None or wanted.licence.lower() in model.licence.lower())
    ]
    return sorted(
        kept, key=lambda model: (model.where, model.weights_gib or model.blended_usd or 0, model.model)
    )


def list_gpus(region: str | None = None, memory_gib: float | None = None) -> list[ListedGpu]:
    """The GPUs that can be planned, by memory. `region`: only those that AWS sells there with a known price."""
    if region is not None:
        _check_region(region)
    listed = [_listed_gpu(gpus.find(name), region) for name in gpus.ids()]
    return sorted(
        (
            gpu
            for gpu in listed
            if (region is None or gpu.instance) and (memory_gib is None or gpu.memory_gib >= memory_gib)
        ),
        key=lambda gpu: (gpu.memory_gib, gpu.gpu),
    )


def regions() -> tuple[str, ...]:
    """Regions in which a model of Bedrock or an instance with GPUs has a price."""
    named = {str(row["region"]) for row in tables.rows("bedrock_prices") if row["region"]}
    return tuple(
        sorted(named | {region for kind in aws_instances.all_instances() for region in kind.regions})
    )


def _check(wanted: ModelFilter) -> None:
    if wanted.task is not None and wanted.task not in TASKS:
        fix = f"{did_you_mean(wanted.task, TASKS)} Choose one of: {', '.join(TASKS)}".strip()
        raise InputError(f"there is no task `{wanted.task}`", where="--task", fix=fix)
    if wanted.region is not None:
        _check_region(wanted.region)
    if wanted.gpu is not None:
        gpus.find(wanted.gpu)


def _check_region(region: str) -> None:
    if region not in regions():
        fix = f"{did_you_mean(region, regions())} Choose one of: {', '.join(regions())}".strip()
        raise InputError(f"the catalogue has no price in `{region}`", where="--region", fix=fix)


def _open_models(wanted: ModelFilter) -> Iterator[ListedModel]:
    on_gpus = ("onprem-vllm", "eks-vllm", "sagemaker")
    if wanted.region is not None or wanted.max_price is not None:
        return  # they have no price of their own, and are bound to no region
    if wanted.class_ is not None and not set(on_gpus) & set(allowed_targets(wanted.class_)):
        return
    card = gpus.find(wanted.gpu) if wanted.gpu else None
    room = card.usable_mib * 0.9 / 1024 if card else None
    limits = [limit for limit in (wanted.memory_gib, room) if limit is not None]
    for name in models.ids():
        model = models.find_model(name)
        weights = {
            precision: (weight_bytes(model.architecture, precision) + model.extra_weight_bytes(precision))
            / _GIB
            for precision in model.precisions
            if card is None or precision in card.precisions
        }
        smallest = min(weights.values(), default=None)
        if smallest is None or (limits and smallest > min(limits)):
            continue
        yield ListedModel(
            model=name,
            where="gpus",
            task=model.task,
            context_tokens=model.context,
            licence=model.licence,
            excludes=tuple(text for _, text in model.excludes),
            parameters_billion=round(model.architecture.total / 1e9, 2),
            precisions=tuple(weights),
            weights_gib=round(smallest, 1),
            source=model.source,
            as_of=model.as_of,
        )


def _bedrock_models(wanted: ModelFilter) -> Iterator[ListedModel]:
    if wanted.gpu is not None or wanted.memory_gib is not None:
        return
    if wanted.class_ is not None and "bedrock" not in allowed_targets(wanted.class_):
        return
    contexts = {row["model"]: row for row in tables.rows("bedrock_models")}
    for region in [wanted.region] if wanted.region else regions():
        for name in bedrock.ids():
            calls = bedrock.calls(name, region)
            ending = bedrock.ending(name)
            if not calls or (ending is not None and ending.is_over):
                continue
            # The cheapest way; of equal prices the one that stays nearest.
            call = min(calls, key=lambda way: (way.price.input, way.price.output, len(way.destinations)))
            listed = ListedModel(
                model=name,
                where="bedrock",
                task=bedrock.task(name),
                context_tokens=call.context,
                licence=f"proprietary, of {contexts[name]['by']}",
                region=region,
                profile=call.profile,
                jurisdictions=tuple(dict.fromkeys(_jurisdiction(place) for place in call.destinations)),
                input_usd=call.price.input,
                output_usd=call.price.output,
                ends=ending.on if ending else None,
                source=call.price.source,
                as_of=call.price.as_of,
            )
            if wanted.max_price is None or (listed.blended_usd or 0) <= wanted.max_price:
                yield listed


def _jurisdiction(region: str) -> str:
    try:
        return region_jurisdiction(region)
    except InputError:
        return "unknown"


def _listed_gpu(kind: gpus.GpuKind, region: str | None) -> ListedGpu:
    instance, rate = _smallest_instance(kind.id, region)
    return ListedGpu(
        gpu=kind.id,
        name=kind.name,
        memory_gib=round(kind.usable_mib / 1024, 1),
        bandwidth_gb_s=kind.card.bandwidth_gb_s,
        precisions=kind.precisions,
        mig=tuple(part.profile for part in kind.slices if part.usable_mib is not None),
        power_w=kind.power_w,
        instance=instance.type if instance else None,
        gpus_of_instance=instance.gpus if instance else None,
        usd_per_gpu_hour=round(rate.usd_per_hour / instance.gpus, 4) if instance and rate else None,
        source=kind.source,
        as_of=kind.as_of,
    )


def _smallest_instance(
    gpu: str, region: str | None
) -> tuple[aws_instances.Instance | None, aws_instances.Rate | None]:
    """The instance with the lowest price of an hour per GPU in a region, with its rate; None if none has a price."""
    if region is None:
        return None, None
    priced = [
        (rate.usd_per_hour / instance.gpus, instance.gpus, instance, rate)
        for instance in aws_instances.offered_instances(region)
        if instance.gpu == gpu
        and (rate := aws_instances.cheapest_rate(instance, "ec2", region, {}, 0)) is not None
    ]
    if not priced:
        return None, None
    _, _, instance, rate = min(priced, key=lambda entry: entry[:2])
    return instance, rate
