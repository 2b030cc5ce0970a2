"""Named tuples of numbers as records, which jitted functions take by one pointer.

Field by field, and again at every call, Numba takes a sixth longer to compile the schedule, and
that a tenth longer to run.
"""

from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np

Fields = TypeVar("Fields", bound=tuple[Any, ...])


def as_record(fields: Fields) -> Fields:
    """Lay the numbers of a named tuple, and of the named tuples in it, side by side.

    Parameters
    ----------
    fields
        Of fields that are declared as int, float, bool, or a named tuple of such.

    Returns
    -------
    numpy.void
        In jitted functions its fields have the names and values of the tuple's.
    """
    return cast(Fields, np.array(fields, _layout(type(fields)))[()])


@cache
def _layout(kind: type) -> np.dtype[np.void]:
    kinds = get_type_hints(kind)
    fields = [
        (name, _layout(field) if issubclass(field, tuple) else field)
        for name, field in kinds.items()
    ]
    return np.dtype(fields, align=True)
