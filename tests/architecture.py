"""The order of the house as tables, and what breaks it.

The code is read, never imported. A new module needs a place in ORDER, a new dependency a
line in THIRD_PARTY.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("quantizer", "accel_sim")

# Low to high: a module may import what stands in a row below its own, and within its own
# unit. Units on one row do not know each other. A unit is a module, or a package with all
# that is in it and not listed apart.
ORDER = (
    ("quantizer.errors", "quantizer.cache_folder"),
    (
        "quantizer.fixedpoint",
        "quantizer.input_file",
        "quantizer.network.layers",
        "quantizer.grid",
        "quantizer.ordered_map",
    ),
    (
        "quantizer.network.graph",
        "quantizer.sample_sums",
        "quantizer.json_file",
    ),
    ("quantizer.map_statistics",),
    (
        "quantizer.network",
        "quantizer.function_values",
        "quantizer.ggd",
        "quantizer.quantized",
        "quantizer.octave_sums",
        "quantizer.format_classes",
        "quantizer.fraction_length",
        "quantizer.histogram_error",
    ),
    (
        "quantizer.format_errors",
        "quantizer.bits_file",
        "quantizer.tensor_bits",
        "quantizer.closed_forms",
        "quantizer.distortion",
        "quantizer.estimators",
        "quantizer.formats_file",
        "quantizer.lookup_table",
    ),
    ("quantizer.baselines", "quantizer.step_size", "quantizer.map_sums"),
    ("quantizer.ggd_steps", "quantizer.calibrate"),
    ("quantizer.step_rules",),
    ("quantizer.given_formats", "quantizer.map_formats"),
    ("quantizer.encode_constants",),
    ("quantizer.quantize", "quantizer.move_formats"),
    ("quantizer.tune", "quantizer.qonnx"),
    (
        "accel_sim.hardware",
        "accel_sim.builtin",
        "accel_sim.accumulation",
        "accel_sim.accumulator_range",
    ),
    ("accel_sim.kernels", "accel_sim.mapping"),
    ("accel_sim.layer_steps", "accel_sim.timing", "accel_sim.energy", "accel_sim.sqnr"),
    ("accel_sim.functional", "accel_sim.scheduling"),
    (
        "accel_sim.performance",
        "accel_sim.dram_trace",
        "accel_sim.tile_trace",
        "accel_sim.measure",
        "accel_sim.incremental_run",
    ),
    ("accel_sim.tuning_score", "accel_sim.map_histograms", "accel_sim.dram_bandwidth"),
    (
        "accel_sim.report",
        "accel_sim.calibration",
        "accel_sim.word_lengths",
        "accel_sim.operators",
        "accel_sim.results_file",
    ),
    ("accel_sim.machine_fit",),
    ("accel_sim.compression",),
    ("accel_sim.simulation",),
    ("accel_sim.sweep", "accel_sim.golden_vectors"),
    ("accel_sim.cli",),
)

# All that the simulator sees of the quantizer, but for the units where both meet.
HAND_OVER = (
    "quantizer.errors",
    "quantizer.fixedpoint",
    "quantizer.input_file",
    "quantizer.lookup_table",
    "quantizer.network.graph",
    "quantizer.network.layers",
    "quantizer.quantized",
)
MEETING_PLACES = (
    "accel_sim.measure",
    "accel_sim.incremental_run",
    "accel_sim.tuning_score",
    "accel_sim.map_histograms",
    "accel_sim.simulation",
    "accel_sim.sweep",
    "accel_sim.golden_vectors",
    "accel_sim.word_lengths",
    "accel_sim.operators",
    "accel_sim.cli",
)

THIRD_PARTY = {
    "numpy": PACKAGES,
    "numba": ("quantizer.fixedpoint", "accel_sim.kernels"),
    "llvmlite": ("quantizer.fixedpoint.jit", "accel_sim.kernels"),
    "scipy": (
        "quantizer.function_values",
        "quantizer.baselines",
        "quantizer.closed_forms",
        "quantizer.estimators",
        "quantizer.ggd",
        "quantizer.step_size",
    ),
    "mpmath": ("quantizer.function_values",),
    "onnx": ("quantizer.network", "quantizer.qonnx"),
    "onnxruntime": ("quantizer.network.onnx_runtime",),
    "PIL": ("quantizer.network.images",),
    "yaml": ("accel_sim.hardware",),
    "pydantic": ("accel_sim.hardware", "accel_sim.report.document", "accel_sim.sweep.exact_cache"),
    "distributed": ("accel_sim.sweep.dask_workers",),
    "typer": ("accel_sim.cli",),
    "rich": ("accel_sim.cli", "accel_sim.report.as_table", "accel_sim.report.layer_table"),
    "altair": ("accel_sim.report.charts",),
    "vl_convert": ("accel_sim.report.charts", "accel_sim.report.page"),
    "jinja2": ("accel_sim.report.page",),
}
BANNED = {"scipy.stats": "it takes most of a second to import; scipy.special has what is needed"}

SPEAKERS = ("accel_sim.cli",)
SPEECH = {
    "print", "exit", "quit", "SystemExit", "sys.exit", "os._exit", "sys.stdout", "sys.stderr",
    "warnings.warn",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A source file: its dotted name, where it is, and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Where a node stands, and in which module: the start of a complaint."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {self.name}"


def read_modules(root: Path, *folders: str) -> dict[str, Module]:
    """Parse every Python file below some folders of a project."""
    modules = {}
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        relative = path.relative_to(root)
        parts = relative.parent.parts if path.stem == "__init__" else relative.with_suffix("").parts
        name = ".".join(parts)
        modules[name] = Module(name=name, path=relative, tree=ast.parse(path.read_bytes()))
    return modules


def imports(module: Module, modules: dict[str, Module]) -> Iterator[tuple[str, ast.AST]]:
    """Every module that one imports, lazily or not; ``from p import m`` gives ``p.m``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                longer = f"{base}.{alias.name}"
                yield (longer if longer in modules or longer in BANNED else base), node


def is_within(name: str, units: tuple[str, ...]) -> bool:
    return any(name == unit or name.startswith(f"{unit}.") for unit in units)


def find_unit(name: str) -> tuple[int, str] | None:
    """Row and name of the smallest unit that a module belongs to."""
    units = [(row, unit) for row, units in enumerate(ORDER) for unit in units]
    return max(
        ((row, unit) for row, unit in units if is_within(name, (unit,))),
        key=lambda place: len(place[1]),
        default=None,
    )


def complain_of_order(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        place = find_unit(module.name)
        if place is None and module.name not in PACKAGES:
            yield f"{module.path}: {module.name} has no place yet; add it to ORDER"
            continue
        row, unit = place or (-1, module.name)  # a package's own __init__ is the lowest of all
        for target, node in imports(module, modules):
            if target.startswith("."):
                yield f"{module.at(node)} imports {target!r}; write the full name"
            elif is_within(target, PACKAGES):
                target_row, target_unit = find_unit(target) or (-1, target)
                if target_unit != unit and target_row >= row:
                    yield f"{module.at(node)} imports {target}, which is not below it in ORDER"


def complain_of_cycles(modules: dict[str, Module]) -> Iterator[str]:
    graph = {
        module.name: {target for target, _ in imports(module, modules) if target in modules}
        for module in modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"modules import each other in a circle: {' <- '.join(error.args[1])}"


def complain_of_hand_over(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if not is_within(module.name, ("accel_sim",)) or is_within(module.name, MEETING_PLACES):
            continue
        for target, node in imports(module, modules):
            if is_within(target, ("quantizer",)) and not is_within(target, HAND_OVER):
                yield f"{module.at(node)} imports {target}; only {MEETING_PLACES} may"


def complain_of_third_parties(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for target, node in imports(module, modules):
            package = target.split(".")[0]
            if package in sys.stdlib_module_names or package in (*PACKAGES, ""):
                continue
            if package not in THIRD_PARTY:
                yield f"{module.at(node)} imports {package}, which THIRD_PARTY does not know"
            elif not is_within(module.name, THIRD_PARTY[package]):
                yield f"{module.at(node)} imports {package}; only {THIRD_PARTY[package]} may"
            for name, reason in BANNED.items():
                if is_within(target, (name,)):
                    yield f"{module.at(node)} imports {name}; {reason}"


def complain_of_speech(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if is_within(module.name, SPEAKERS):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in SPEECH:
                yield f"{module.at(node)} uses {ast.unparse(node)}; only the command line may"


def complain_of_oracles(oracles: dict[str, Module]) -> Iterator[str]:
    for oracle in oracles.values():
        for target, node in imports(oracle, oracles):
            is_sibling = is_within(target, ("tests.oracles",))
            if is_within(target, (*PACKAGES, "tests")) and not is_sibling:
                yield f"{oracle.at(node)} imports {target}; an oracle shares no code"


RULES = (
    complain_of_order,
    complain_of_cycles,
    complain_of_hand_over,
    complain_of_third_parties,
    complain_of_speech,
)
