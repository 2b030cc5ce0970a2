"""Numbers as people read them: four figures and a unit of fitting size."""

from collections.abc import Sequence
from itertools import takewhile

FIGURES = 4


def format_figures(value: float) -> str:
    """Write four significant figures, never an exponent: ``0.01234``, ``12.34``, ``123,400``."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{FIGURES - 1}e}")
    exponent = int(f"{rounded:e}".split("e")[1])
    return f"{rounded:,.{max(FIGURES - 1 - exponent, 0)}f}"


def format_count(value: int) -> str:
    """Write a count in full, or in millions where it would take more than nine columns."""
    return f"{value:,}" if value < 10_000_000 else f"{format_figures(value / 1e6)} M"


def format_percent(fraction: float | None) -> str:
    """Write a fraction in percent with one place, and none as a dash."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def format_sqnr(sqnr_dB: float | None, exact: bool | None) -> str:
    """Write an SQNR in dB: ``exact`` without noise, a dash without values."""
    if sqnr_dB is not None:
        return f"{sqnr_dB:.1f}"
    return "exact" if exact else "-"


def choose_energy_unit(energy_uJ: float) -> tuple[str, float]:
    """Choose the unit in which an energy is at least 1; with it, how many make a uJ."""
    for unit, per_uJ in (("J", 1e-6), ("mJ", 1e-3), ("uJ", 1.0), ("nJ", 1e3)):
        if energy_uJ * per_uJ >= 1:
            return unit, per_uJ
    return "pJ", 1e6


def format_energy(energy_uJ: float) -> str:
    """Write an energy with its unit."""
    unit, per_uJ = choose_energy_unit(energy_uJ)
    return f"{format_figures(energy_uJ * per_uJ)} {unit}"


def format_time(time_us: float) -> str:
    """Write a time with its unit."""
    for unit, per_us in (("s", 1e-6), ("ms", 1e-3), ("us", 1.0)):
        if time_us * per_us >= 1:
            return f"{format_figures(time_us * per_us)} {unit}"
    return f"{format_figures(time_us * 1e3)} ns"


def format_power(power_mW: float) -> str:
    """Write a power with its unit."""
    if power_mW >= 1e3:
        return f"{format_figures(power_mW / 1e3)} W"
    return f"{format_figures(power_mW)} mW"


def choose_storage_unit(size_bytes: float) -> tuple[str, float]:
    """Choose KiB, or MiB from one of these on; with it, how many make a byte."""
    return ("MiB", 2.0**-20) if size_bytes >= 1 << 20 else ("KiB", 2.0**-10)


def format_storage(size_bytes: float) -> str:
    """Write bytes in KiB or MiB."""
    unit, per_byte = choose_storage_unit(size_bytes)
    return f"{format_figures(size_bytes * per_byte)} {unit}"


def printable(text: str) -> str:
    """Spell out what a terminal would act upon, such as escapes and line ends."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shorten_name(name: str, columns: int) -> str:
    """Keep the end of a long name: it tells the layers of one network apart."""
    name = printable(name)
    return name if len(name) <= columns else "…" + name[len(name) - columns + 1 :]


def shorten_alike(texts: Sequence[str], columns: int) -> list[str]:
    """Cut long texts in the middle; or where they begin alike, if that tells more of them apart."""
    texts = [printable(text) for text in texts]
    long = {text for text in texts if len(text) > columns}
    head, tail = columns // 2, columns - columns // 2 - 1
    middle = {text: f"{text[:head]}…{text[len(text) - tail :]}" for text in long}
    alike = sum(
        1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*long, strict=False))
    )
    start = max(alike - columns // 2, 0)
    after = {text: _cut_end(f"…{text[start:]}" if start else text, columns) for text in long}
    shortened = max(middle, after, key=lambda cut: len(set(cut.values())))
    return [shortened.get(text, text) for text in texts]


def _cut_end(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 1]}…"
