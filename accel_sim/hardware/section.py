"""What all sections of a machine's file have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Keys and values that do not change; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def complete(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Add the keys that others say, before any is missed.

        Raises
        ------
        ValueError
            ``key: problem``, as validators do.
        """
        return values
