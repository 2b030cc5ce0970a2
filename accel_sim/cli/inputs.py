"""What the user typed about networks, images and numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.options import is_number
from quantizer.errors import InputError

if TYPE_CHECKING:
    from quantizer.bits_file import GivenBits
    from quantizer.network.images import Preprocessing
    from quantizer.quantized import Tuning

DEFAULT_METHOD = "ggd"
DEFAULT_ESTIMATOR = "moments"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """Which network on which images; fields as the options of the same names.

    Attributes
    ----------
    needs_images
        False for the performance model alone (``--no-values``).
    needs_formats
        Whether formats have to be chosen even so; a verb without ``--no-values``.
    has_formats
        Whether a formats file is given, which can make calibration needless.
    """

    network: str | None
    input_shape: str | None
    images: Path | None
    calibration: Path | None
    limit_images: int | None
    mean: str | None
    scale: str | None
    layout: str | None
    needs_images: bool = True
    needs_formats: bool = False
    has_formats: bool = False

    def arguments(self) -> list[str]:
        """Options that ask for the same network and images again."""
        options = {
            "--network": self.network,
            "--input-shape": self.input_shape,
            "--calibration": self.calibration,
            "--images": self.images,
            "--limit-images": self.limit_images,
            "--mean": self.mean,
            "--scale": self.scale,
            "--layout": self.layout,
        }
        return as_arguments(options) + ([] if self.needs_images else ["--no-values"])

    @property
    def has_preprocessing(self) -> bool:
        """Whether the user says how stored pixels become numbers."""
        return any(value is not None for value in (self.mean, self.scale, self.layout))

    @property
    def input_paths(self) -> tuple[Path, ...]:
        """Files that will be read, if they are files."""
        network = () if self.network is None else (Path(self.network),)
        return network + tuple(path for path in (self.images, self.calibration) if path)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRequest:
    """How the numbers are quantized; fields as the options of the same names.

    Raises
    ------
    InputError
        If an option has no use without another.
    """

    input_bits: int | None
    bias_bits: int | None
    bits: Path | None
    per_channel: bool
    method: str | None
    estimator: str | None
    headroom_bits: int | None
    formats: Path | None
    tune: bool
    tune_passes: int | None
    tune_budget: int | None
    tune_measure: str | None

    def __post_init__(self) -> None:
        for option, value in self._tuning_options().items():
            if value is not None and not self.tune:
                raise InputError(option, "has no use without --tune; add that")

    def _tuning_options(self) -> dict[str, object]:
        return {
            "--tune-passes": self.tune_passes,
            "--tune-budget": self.tune_budget,
            "--tune-measure": self.tune_measure,
        }

    @property
    def input_paths(self) -> tuple[Path, ...]:
        """Files that will be read."""
        return tuple(path for path in (self.bits, self.formats) if path)

    @property
    def given(self) -> dict[str, object]:
        """Values by option; None where it is not given."""
        return {
            "--input-bits": self.input_bits,
            "--bias-bits": self.bias_bits,
            "--bits": self.bits,
            "--per-channel": self.per_channel or None,
            "--method": self.method,
            "--estimator": self.estimator,
            "--headroom-bits": self.headroom_bits,
            "--formats": self.formats,
            "--tune": self.tune or None,
            **self._tuning_options(),
        }

    def arguments(self) -> list[str]:
        """Options that ask for the same again."""
        return as_arguments(self.given)

    @property
    def tuning(self) -> "Tuning | None":
        """How to tune; None if that is not asked for."""
        if not self.tune:
            return None
        from quantizer.quantized import TuneMeasure, Tuning

        return Tuning(
            measure=TuneMeasure(self.tune_measure or TuneMeasure.SQNR),
            passes=self.tune_passes or 1,
            budget=self.tune_budget,
        )


def read_widths(
    request: FormatRequest, weight_bits: object, activation_bits: object
) -> "GivenBits | None":
    """Read the bits file of a request, if there is one.

    Parameters
    ----------
    weight_bits, activation_bits
        What the options of these names give.

    Raises
    ------
    InputError
        If the file cannot be used, or its default repeats an option.
    """
    if request.bits is None:
        return None
    from quantizer.bits_file import read_bits

    given = read_bits(request.bits)
    for option, value, default in (
        ("--weight-bits", weight_bits, given.default.weights),
        ("--activation-bits", activation_bits, given.default.activations),
        ("--input-bits", request.input_bits, given.inputs),
        ("--bias-bits", request.bias_bits, given.default.biases),
    ):
        if value is not None and default is not None:
            raise InputError(
                option, f"is also given by the default of {request.bits}; leave one of them out"
            )
    return given


def as_widths(weights: object, activations: object) -> dict[str, object]:
    """Widths by the option that gives them."""
    return {"--weight-bits": weights, "--activation-bits": activations}


def as_arguments(options: Mapping[str, object]) -> list[str]:
    """``{"--mean": "3", "--scale": None, "--tune": True}`` as ``["--mean", "3", "--tune"]``."""
    return [
        part
        for option, value in options.items()
        if value is not None
        for part in ((option,) if value is True else (option, str(value)))
    ]


def parse_preprocessing(request: NetworkRequest) -> "Preprocessing":
    """Read the options ``--mean``, ``--scale`` and ``--layout``."""
    from quantizer.network.images import Layout, Preprocessing

    mean = parse_numbers("--mean", request.mean) or (0.0,)
    scale = parse_numbers("--scale", request.scale) or (1.0,)
    if 0.0 in scale:
        raise InputError("--scale", "0 would make every image black; give another number")
    layout = None if request.layout is None else Layout(request.layout)
    return Preprocessing(mean=mean, scale=scale, layout=layout)


def parse_numbers(option: str, text: str | None) -> tuple[float, ...]:
    """``"125,123,114"`` or ``"1/255"`` as numbers; nothing as no numbers."""
    if text is None:
        return ()
    try:
        return tuple(_parse_number(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise InputError(
            option, f"{text!r} is not a list of numbers; write 0.5, 1/255 or 125,123,114"
        ) from None


def _parse_number(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    number = float(numerator) / (float(denominator) if slash else 1.0)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """``"3,32,32"`` as (3, 32, 32)."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(is_number(part.strip()) and int(part) > 0 for part in parts):
        raise InputError(
            "--input-shape", f"{text!r} is not a shape; write channels, rows, columns: 3,32,32"
        )
    return tuple(int(part) for part in parts)


def add_batch(overrides: list[str], batch: int | None) -> list[str]:
    """Append what ``--batch`` asks for to the overrides of a machine.

    Raises
    ------
    InputError
        If ``--set`` gives another.
    """
    if batch is None:
        return overrides
    for override in overrides:
        if override.partition("=")[0].strip() == "mapping.batch":
            raise InputError(f"--set {override}", "is also given by --batch; leave one of them out")
    return [*overrides, f"mapping.batch={batch}"]
