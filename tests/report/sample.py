"""A report put together by hand: a convolution, its pool, and a change of shape."""

from dataclasses import replace

from accel_sim.energy.band import Energy
from accel_sim.energy.dram import DramEnergy
from accel_sim.energy.layer_energy import COMPONENTS, LayerEnergy
from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.tile import LayerMapping, Loop, Tile
from accel_sim.mapping.traffic import NO_BUFFER_ACCESSES, NO_DRAM_BYTES, DramBytes
from accel_sim.measure import LayerValues, ValueReport
from accel_sim.performance import LayerPerformance
from accel_sim.report.facts import (
    Datapath,
    Doubling,
    ImageFacts,
    NetworkFacts,
    QuantizationFacts,
    RunFacts,
)
from accel_sim.report.layer import LayerReport
from accel_sim.report.model import RunReport
from accel_sim.timing.layer_cycles import NO_CYCLES, Bound, LayerCycles
from quantizer.quantized import BitWidths

MACHINE = {
    "name": "hand_made",
    "clock_MHz": 500,
    "technology": {"node_nm": 32, "supply_V": 0.9, "sram_cell": "lstp"},
    "precision": {
        "weight_bits": 8,
        "activation_bits": 8,
        "activations": "either",
        "accumulator_bits": 32,
        "accumulator_overflow": "wrap",
        "requantize_rounding": "ties_pos",
        "average_pool_rounding": "ties_pos",
        "modes": [],
    },
    "mac_array": {
        "rows": 4,
        "cols": 8,
        "dataflow": "output_stationary",
        "pipeline_cycles": 0,
        "output_register_cycles": 0,
        "drain": "rows",
        "fold_overlap": "none",
        "edge_tiles": "full_skew",
        "depthwise": "serial",
        "tile_overhead_cycles": 0,
        "zero_gating": True,
    },
    "buffers": {
        name: {
            "capacity_KiB": 16,
            "port_bits": 64,
            "ports": "1r1w",
            "banks": 2,
            "double_buffered": True,
        }
        for name in ("ifm", "weights", "psum", "ofm")
    }
    | {"shared": []},
    "dram": {
        "model": "flat",
        "bandwidth_GBps": 10,
        "latency_ns": 80,
        "energy_pJ_per_bit": 8,
        "packing": "dense",
    },
    "post_processing": {"lanes": 4},
    "mapping": {"objective": "latency", "reduction": "free", "residency": "auto", "batch": 2},
}
HARDWARE = HardwareConfig.model_validate(MACHINE, strict=False)


def band(value_pJ: float) -> Energy:
    return Energy(value_pJ=value_pJ, low_pJ=value_pJ / 2, high_pJ=value_pJ * 2)


def energies(*values_pJ: float) -> LayerEnergy:
    parts = dict(zip(COMPONENTS, map(band, values_pJ), strict=True))
    causes = dict.fromkeys(DramEnergy.__dataclass_fields__, band(0))
    causes["read"], causes["standby"] = parts.pop("dram_dynamic"), parts.pop("dram_background")
    return LayerEnergy(**parts, dram=DramEnergy(**causes))


CONV = LayerPerformance(
    name="model/first/conv2d/Conv2D",
    op="Conv",
    macs=32_000,
    weight_bits=6,
    ifm_bits=8,
    ofm_bits=8,
    mapping=LayerMapping(
        dataflow=Dataflow.OUTPUT_STATIONARY,
        tile=Tile(batch=1, groups=1, filters=8, channels=3, output_rows=4, output_cols=4),
        loop_order=(Loop.GROUPS, Loop.FILTERS, Loop.PIXELS, Loop.CHANNELS),
    ),
    cycles=LayerCycles(
        compute=1_000,
        fill_drain=200,
        overhead=0,
        stall_port_ifm=10,
        stall_port_weights=0,
        stall_port_psum=0,
        stall_port_ofm=0,
        stall_dram_ifm=700,
        stall_dram_weights=600,
        stall_dram_psum=0,
        stall_dram_ofm=0,
    ),
    utilization_fraction=32_000 / (2_510 * 32),
    dram_bytes=DramBytes(
        ifm_read=3_000, weights_read=1_000, residual_read=0, psum_read=0, psum_write=0, ofm_write=20
    ),
    buffer_accesses=NO_BUFFER_ACCESSES,
    energy=energies(8e3, 1e3, 3e3, 4e3, 16e3, 2e3, 5e2, 2e3, 1e1),
)
POOL = LayerPerformance(
    name="pool",
    op="MaxPool",
    macs=0,
    weight_bits=None,
    ifm_bits=8,
    ofm_bits=8,
    mapping=LayerMapping(
        dataflow=None,
        tile=Tile(batch=2, groups=8, filters=1, channels=1, output_rows=2, output_cols=2),
        loop_order=(Loop.GROUPS, Loop.FILTERS, Loop.PIXELS, Loop.CHANNELS),
    ),
    cycles=replace(NO_CYCLES, compute=490),
    utilization_fraction=0.0,
    dram_bytes=NO_DRAM_BYTES,
    buffer_accesses=NO_BUFFER_ACCESSES,
    energy=energies(0, 0, 0, 5e2, 0, 1e2, 4e2, 1e2, 1e0),
)
FLATTEN = LayerPerformance(
    name="flatten",
    op="Reshape",
    macs=0,
    weight_bits=None,
    ifm_bits=8,
    ofm_bits=8,
    mapping=None,
    cycles=NO_CYCLES,
    utilization_fraction=0.0,
    dram_bytes=NO_DRAM_BYTES,
    buffer_accesses=NO_BUFFER_ACCESSES,
    energy=energies(*[0] * len(COMPONENTS)),
)

NOISY = LayerValues(
    sqnr_dB=30.25,
    local_sqnr_dB=35.5,
    exact=False,
    accumulator_overflows=1,
    accumulator_bits_needed=34,
    accumulator_channels=16,
    accumulator_proven_channels=12,
    output_saturations=12,
    zero_ifm_fraction=0.25,
    zero_weight_fraction=0.125,
)
VALUES = ValueReport(
    layers={name: NOISY for name in ("model/first/conv2d/Conv2D", "pool", "flatten")},
    sqnr_dB=30.25,
    exact=False,
    top1_agreement_fraction=0.75,
    top1_accuracy_fraction=0.5,
    float_top1_accuracy_fraction=0.625,
    top1_tie_fraction=0.0,
    images=8,
    zero_run_pairs=None,
)


def with_values() -> RunReport:
    return RunReport(
        run=RunFacts(host="here", kernel_path="numba", threads=2, seconds=1.5),
        hardware=HARDWARE,
        hardware_digest="ab" * 32,
        datapath=Datapath.FIXED,
        network=NetworkFacts(
            name="sample", digest="cd" * 32, macs=16_000, parameters=240, notes=("A note.",)
        ),
        quantization=QuantizationFacts(
            method="ggd", bits=BitWidths(weights=6, activations=8), per_channel=False, tuning=None
        ),
        images=ImageFacts(
            source="x.npz", count=8, mean=(125.0, 123.0, 114.0), scale=(1 / 256,), layout="nhwc"
        ),
        layers=(
            LayerReport(
                on_host=False,
                performance=CONV,
                weight_frac_bits=(7, 6),
                ifm_frac_bits=(5,),
                ofm_frac_bits=4,
                values=NOISY,
            ),
            LayerReport(
                on_host=False,
                performance=POOL,
                weight_frac_bits=None,
                ifm_frac_bits=(4,),
                ofm_frac_bits=4,
                values=NOISY,
            ),
            LayerReport(
                on_host=False,
                performance=FLATTEN,
                weight_frac_bits=None,
                ifm_frac_bits=(4,),
                ofm_frac_bits=4,
                values=NOISY,
            ),
        ),
        values=VALUES,
        doubling=Doubling(
            bound_by=Bound.DRAM_IFM,
            cycles_fraction=700 / 3_000,
            key="dram.bandwidth_GBps",
            value="20",
            cycles=2_400,
        ),
    )


def without_values() -> RunReport:
    report = with_values()
    bare = {
        "weight_frac_bits": None,
        "ifm_frac_bits": None,
        "ofm_frac_bits": None,
        "values": None,
    }
    return replace(
        report,
        images=None,
        values=None,
        doubling=None,
        quantization=replace(report.quantization, method=None),
        layers=tuple(replace(layer, **bare) for layer in report.layers),
    )
