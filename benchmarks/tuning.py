"""What does --tune gain, on images that it has not seen?

    .venv/bin/python benchmarks/tuning.py [REFERENCE_DATA] [--bits 4,5,6,8] [--passes N]

For every network and width (weights and activations alike), per tensor and per output
channel: SQNR and top-1 agreement with the float network on the test images, before and after
tuning on the calibration images; SQNR on the calibration images, which never falls; and the
processor time that tuning took. At last the mean gain at 6 bits and fewer.
"""

import argparse
import resource
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trained_networks import Case, load_cases

from accel_sim.measure import measure_values
from accel_sim.tuning_score import tune_on
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, Tuning

NARROW_BITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A network at one width, untuned and tuned: each pair is (before, after)."""

    network: str
    bits: int
    per_channel: bool
    calibration_dB: tuple[float, float]
    test_dB: tuple[float, float]
    agreement_fraction: tuple[float, float]
    accuracy_fraction: tuple[float, float]
    tuning_seconds: float

    @property
    def gain_dB(self) -> float:
        """On images that tuning has not seen."""
        before, after = self.test_dB
        return after - before

    def __str__(self) -> str:
        granularity = "channel" if self.per_channel else "tensor"
        calibration, test = (
            f"{before:6.2f} -> {after:6.2f}"
            for before, after in (self.calibration_dB, self.test_dB)
        )
        agreement, accuracy = (
            f"{100 * before:5.1f} -> {100 * after:5.1f}"
            for before, after in (self.agreement_fraction, self.accuracy_fraction)
        )
        return (
            f"{self.network:18}{self.bits:3}  {granularity:8} {calibration}   {test}  "
            f"{self.gain_dB:+6.2f}   {agreement}   {accuracy}  {self.tuning_seconds:7.1f}"
        )


HEADER = (
    f"{'network':18}{'bits':>4} per      {'calibration dB':>16}   {'test dB':>16}  "
    f"{'gain':>6}   {'agreement %':>14}   {'top-1 %':>14}  {'CPU s':>7}"
)


def measure_gain(case: Case, bits: int, *, per_channel: bool, tuning: Tuning) -> Gain:
    """Quantize, tune on the calibration images, and judge on both sets."""
    widths = BitWidths(weights=bits, activations=bits)
    untuned = quantize(case.network, case.calibration, widths, per_channel=per_channel)
    started = _processor_seconds()
    tuned = tune_on(untuned, case.calibration, tuning)
    seconds = _processor_seconds() - started
    seen = [measure_values(one, case.calibration) for one in (untuned, tuned)]
    unseen = [measure_values(one, case.test) for one in (untuned, tuned)]
    return Gain(
        network=case.network.name,
        bits=bits,
        per_channel=per_channel,
        calibration_dB=(seen[0].sqnr_dB or 0.0, seen[1].sqnr_dB or 0.0),
        test_dB=(unseen[0].sqnr_dB or 0.0, unseen[1].sqnr_dB or 0.0),
        agreement_fraction=(
            unseen[0].top1_agreement_fraction or 0.0,
            unseen[1].top1_agreement_fraction or 0.0,
        ),
        accuracy_fraction=(
            unseen[0].top1_accuracy_fraction or 0.0,
            unseen[1].top1_accuracy_fraction or 0.0,
        ),
        tuning_seconds=seconds,
    )


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure_gains(folder: Path | None, widths: Sequence[int], tuning: Tuning) -> Iterator[Gain]:
    """Measure every network at every width, per tensor and per channel."""
    for case in load_cases(folder):
        for bits in widths:
            for per_channel in (False, True):
                yield measure_gain(case, bits, per_channel=per_channel, tuning=tuning)


def main() -> None:
    """Print one line per point as it is measured, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--bits", default="4,5,6,8")
    parser.add_argument("--passes", type=int, default=1)
    arguments = parser.parse_args()
    widths = [int(bits) for bits in arguments.bits.split(",")]
    print(HEADER)
    gains = []
    for gain in measure_gains(arguments.folder, widths, Tuning(passes=arguments.passes)):
        print(gain, flush=True)
        gains.append(gain)
    for per_channel in (False, True):
        narrow = [
            gain.gain_dB
            for gain in gains
            if gain.per_channel is per_channel and gain.bits <= NARROW_BITS
        ]
        if narrow:
            print(
                f"mean gain at {NARROW_BITS} bits and fewer, per "
                f"{'channel' if per_channel else 'tensor'}: {statistics.mean(narrow):+.2f} dB"
            )


if __name__ == "__main__":
    main()
