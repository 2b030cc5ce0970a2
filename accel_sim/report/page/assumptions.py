"""Which assumptions of the machine model a run rests on: sentences of ``MODEL.md``."""

import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from accel_sim.report.document import ReportDocument
from accel_sim.report.page.page import Fold

Applies = Callable[[ReportDocument], bool]

_SECTION = re.compile(r"^## (.*)\n", re.MULTILINE)
_SENTENCE = re.compile(r"^\* (.*(?:\n  .*)*)", re.MULTILINE)


def _machine(key: str, *values: object) -> Applies:
    """Tell whether a key of the machine has one of some values."""

    def applies(report: ReportDocument) -> bool:
        section: Any = report.hardware.config
        for name in key.split("."):
            section = section.get(name) if isinstance(section, Mapping) else None
        return section in values

    return applies


def _no(applies: Applies) -> Applies:
    return lambda report: not applies(report)


def _op(*names: str) -> Applies:
    return lambda report: any(layer.op in names for layer in report.layers)


def _has_values(report: ReportDocument) -> bool:
    return report.images is not None


_SECTIONS: dict[str, Applies] = {
    "Row stationary": _machine("mac_array.dataflow", "row_stationary"),
    "Compression": _no(_machine("dram.compression", None, "none")),
    "Residency": _no(_machine("buffers.shared", [])),
    "Glossary": lambda report: False,
}
"""Sections that not every run rests on."""

_IS_DEVICE = _machine("dram.model", "device")
_HAS_TREES = _machine("mac_array.dataflow", "channel_parallel")
_IS_OUTPUT_STATIONARY = _machine("mac_array.dataflow", "output_stationary")
_IS_ROW_STATIONARY = _machine("mac_array.dataflow", "row_stationary")
_HAS_MODES = _no(_machine("precision.modes", []))
_IS_BLOCK_DIAGONAL = _machine("mac_array.depthwise", "block_diagonal")
_IS_NATIVE = _machine("mac_array.depthwise", "native")

PHRASES: dict[str, Applies] = {
    "`flat` moves": _machine("dram.model", "flat"),
    "`device`": _IS_DEVICE,
    "Consecutive bursts": _IS_DEVICE,
    "A window of `n` bursts": _IS_DEVICE,
    "A row is opened": _IS_DEVICE,
    "Writes leave in batches": _IS_DEVICE,
    "Window, norm": _IS_DEVICE,
    "Reads in flight": _IS_DEVICE,
    "Channels multiply": _IS_DEVICE,
    "`depthwise: serial`": _machine("mac_array.depthwise", "serial"),
    "`depthwise: block_diagonal`": _IS_BLOCK_DIAGONAL,
    "off the diagonal": _IS_BLOCK_DIAGONAL,
    "`depthwise: native`": _IS_NATIVE,
    "Native groups read": _IS_NATIVE,
    "`drain: hidden` takes": _machine("mac_array.drain", "hidden"),
    "`fold_overlap: weight_preload`": _machine("mac_array.fold_overlap", "weight_preload"),
    "`fold_overlap: full` pays": _machine("mac_array.fold_overlap", "full"),
    "`edge_tiles: used_skew` charges": _machine("mac_array.edge_tiles", "used_skew"),
    "An output-stationary fold": _no(_IS_ROW_STATIONARY),
    "Output stationary:": _IS_OUTPUT_STATIONARY,
    "an output-stationary array goes on": _IS_OUTPUT_STATIONARY,
    "Channel parallel:": _HAS_TREES,
    "On adder trees": _HAS_TREES,
    "MAC of an adder tree": _HAS_TREES,
    "Weight and input stationary:": _machine(
        "mac_array.dataflow", "weight_stationary", "input_stationary"
    ),
    "Row stationary:": _IS_ROW_STATIONARY,
    "row-stationary array need": _IS_ROW_STATIONARY,
    "MAC of a row-stationary": _IS_ROW_STATIONARY,
    "In a mode": _HAS_MODES,
    "A mode ": _HAS_MODES,
    "A layer takes the mode": _HAS_MODES,
    "A MAC in a mode": _HAS_MODES,
    "machine with a mode": _HAS_MODES,
    "compose a multiplier": _HAS_MODES,
    "ransposed convolution": _op("ConvTranspose"),
    "LocalResponseNorm": lambda report: any(layer.on_host for layer in report.layers),
    "oncat": _op("Concat"),
    "`reduction: fixed`": _machine("mapping.reduction", "fixed"),
    "`pin` gives": _no(_machine("mapping.pin", [], None)),
    "With `zero_gating`": _machine("mac_array.zero_gating", True),
    "kept `in_ofm`": _machine("buffers.psum", "in_ofm"),
    "(`energy_table`)": _no(_machine("energy_table", None)),
    "(`shared`)": _no(_machine("buffers.shared", [])),
    "A rebuilt datapath": lambda report: report.totals.datapath == "rebuilt",
    "Without measured activity": _no(_has_values),
    "Zeros of activations and of weights meet": _has_values,
}
"""What a sentence says that a run may have nothing of."""


def applied_assumptions(report: ReportDocument) -> tuple[Fold, ...]:
    """Give the sentences of each section that have a bearing on a run."""
    text = (resources.files("accel_sim") / "MODEL.md").read_text("utf-8")
    _, *parts = _SECTION.split(text)
    folds = []
    for title, content in zip(parts[::2], parts[1::2], strict=True):
        if title in _SECTIONS and not _SECTIONS[title](report):
            continue
        sentences = tuple(
            sentence
            for sentence in (" ".join(found.split()) for found in _SENTENCE.findall(content))
            if all(applies(report) for phrase, applies in PHRASES.items() if phrase in sentence)
        )
        if sentences:
            folds.append(Fold(title=f"{title} ({len(sentences)})", sentences=sentences))
    return tuple(folds)
