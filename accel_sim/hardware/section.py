"""What all sections of a machine's file have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Keys and values that do not change; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
