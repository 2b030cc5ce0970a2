"""Layers as flat records, and any records as CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.report.document import ReportDocument

_SECTIONS = ("mapping", "passes", "uncompressed_dram_bytes")
"""Of a layer, those that may be null."""


def layer_records(report: ReportDocument) -> list[dict[str, Any]]:
    """One record per layer; nested keys are joined by dots, as in ``cycles.total``.

    All records have the same keys.
    """
    flat = [_flatten("", layer.model_dump(mode="json")) for layer in report.layers]
    keys = dict.fromkeys(key for record in flat for key in record)
    return [{key: record.get(key) for key in keys} for record in flat]


def _flatten(prefix: str, section: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flatten(f"{prefix}{key}.", value)
        elif key not in _SECTIONS:  # null: one that does not apply
            flat[prefix + key] = value
    return flat


def to_csv_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV with a header; null is an empty cell, a list is JSON, true is ``true``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows([_cell(value) for value in record.values()] for record in records)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, allow_nan=False)
