"""What all charts look like."""

from typing import TYPE_CHECKING, Any

from accel_sim.energy.layer_energy import COMPONENTS

if TYPE_CHECKING:
    import altair

# Okabe and Ito 2008: told apart with every kind of colour blindness.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#767676"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)

LABEL_SIZE = 12

CONFIG = {
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": LABEL_SIZE,
        "titleFontSize": LABEL_SIZE,
        "titleFontWeight": "normal",
        "gridColor": "#E6E6E6",
        "domainColor": "#888888",
        "tickColor": "#888888",
    },
    "legend": {
        "labelFontSize": LABEL_SIZE,
        "titleFontSize": LABEL_SIZE,
        "symbolLimit": 0,
        "columns": 4,
    },
    "text": {"fontSize": LABEL_SIZE},
}

COMPONENT_COLOURS = dict(
    zip(
        COMPONENTS,
        (GREEN, SKY, YELLOW, BLUE, VERMILION, ORANGE, PURPLE, "#999999", BLACK),
        strict=True,
    )
)

# What waits for ports is blue, what waits for DRAM is red; operands are shades of these.
CAUSE_COLOURS = {
    "compute": GREEN,
    "fill_drain": YELLOW,
    "overhead": "#999999",
    "stall_port_ifm": "#003F63",
    "stall_port_weights": BLUE,
    "stall_port_psum": SKY,
    "stall_port_ofm": "#B5DDF5",
    "stall_dram_ifm": "#7A3500",
    "stall_dram_weights": VERMILION,
    "stall_dram_psum": "#F08A45",
    "stall_dram_ofm": "#F9CDAA",
}
TRAFFIC_COLOURS = {
    "ifm_read": BLUE,
    "weights_read": ORANGE,
    "residual_read": SKY,
    "psum_read": PURPLE,
    "psum_write": BLACK,
    "ofm_write": GREEN,
}


def few_ticks() -> "altair.ExprRef":
    """Give the number of ticks of an axis along the width that do not touch, whatever it is."""
    import altair as alt

    return alt.expr("ceil(width / 80)")


_SPELT = {"mac": "MAC", "fill_drain": "fill and drain"}


def legend(**options: Any) -> "altair.Legend":
    """Give a legend above the chart; a page says in how many columns."""
    import altair as alt

    return alt.Legend(orient="top", title=None, **options)


def spell(key: str) -> str:
    """Spell a key of the report file as words: ``stall_dram_ifm`` is *DRAM ifm*."""
    for prefix, words in (("stall_port_", "port "), ("stall_dram_", "DRAM ")):
        if key.startswith(prefix):
            return words + key.removeprefix(prefix)
    return _SPELT.get(key, key.replace("_", " ").replace("dram", "DRAM"))
