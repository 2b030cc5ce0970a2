"""The report file, and other results, as JSON bytes."""

import json
from pathlib import Path
from typing import Any

from accel_sim.report.document import SCHEMA_VERSION, ReportDocument, read_document
from quantizer.errors import InputError
from quantizer.input_file import read_input

_MAX_BYTES = 1 << 28


def to_json_bytes(content: Any) -> bytes:
    """Two-space JSON in the order of the content; the same bytes for the same content."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def report_schema() -> dict[str, Any]:
    """JSON Schema of the report file."""
    schema = ReportDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_report(path: Path) -> ReportDocument:
    """Read a report file.

    Raises
    ------
    InputError
        If it cannot be read or is not a report of this schema.
    """
    where = str(path)
    written = read_input(path, "a file that --json wrote", limit_bytes=_MAX_BYTES)
    try:
        content = json.loads(written)
    except (ValueError, RecursionError):
        raise InputError(where, "is not a JSON file; give one that --json wrote") from None
    if not isinstance(content, dict) or "schema_version" not in content:
        raise InputError(where, "is not a report; give a file that --json wrote")
    if content["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            where,
            f"has schema_version {content['schema_version']!r}; this version reads "
            f"{SCHEMA_VERSION}, so write the report again",
        )
    return read_document(where, content)
