"""The networks of a sweep, and the ways in which their numbers are chosen."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accel_sim.cli.formats import has_no_formats, refuse_numbers
from accel_sim.cli.inputs import DEFAULT_METHOD, FormatRequest, NetworkRequest
from accel_sim.cli.points import make_experiment
from accel_sim.cli.workload import Workload, load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.sweep.points import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A network under one way to choose its numbers: what an experiment is made of.

    Attributes
    ----------
    network
        Its name in tables; as the user gave it, if another network has the same.
    """

    network: str
    workload: Workload
    numbers: FormatRequest
    experiment: "Experiment"


def list_numbers(
    numbers: FormatRequest,
    methods: Sequence[str | None],
    estimators: Sequence[str | None],
) -> list[FormatRequest]:
    """Give every combination; estimators are for methods that fit a distribution, if any does.

    Raises
    ------
    InputError
        If there is no such method or estimator.
    """
    if methods == (None,) and estimators == (None,):
        return [numbers]
    from quantizer.estimators import Estimator
    from quantizer.step_rules import find_step_rule

    known = [estimator.value for estimator in Estimator]
    for name in estimators:
        if name is not None and name not in known:
            listed = ", ".join(map(repr, known))
            raise InputError("--estimator", f"{name!r} is not one of {listed}")
    if len(methods) == 1:
        return [
            replace(numbers, method=methods[0], estimator=estimator) for estimator in estimators
        ]
    fits = {
        method: find_step_rule(method or DEFAULT_METHOD, Estimator.MOMENTS).fits_distribution
        for method in methods
    }
    return [
        replace(numbers, method=method, estimator=estimator)
        for method in methods
        for estimator in (estimators if fits[method] or not any(fits.values()) else (None,))
    ]


def make_studies(
    requests: Sequence[NetworkRequest],
    numbers: Sequence[FormatRequest],
    given: Mapping[str, object],
) -> list[Study]:
    """Load networks, and combine each with every way to choose its numbers.

    Parameters
    ----------
    given
        Options about widths, which a network may have no use for.

    Raises
    ------
    InputError
        What `load_workload` and `make_experiment` refuse; of several networks, with the name.
    """
    loaded = []
    for request in requests:
        try:
            loaded.append((request, list(_studies_of(request, numbers, given))))
        except InputError as error:
            name = str(request.network)
            if len(requests) == 1 or name in str(error):
                raise
            raise InputError(f"{error.where} with --network {name}", error.problem) from None
    # Two files may call their networks by one name.
    names = Counter(studies[0].network for _, studies in loaded)
    return [
        study if names[study.network] == 1 else replace(study, network=str(request.network))
        for request, studies in loaded
        for study in studies
    ]


def _studies_of(
    request: NetworkRequest, numbers: Sequence[FormatRequest], given: Mapping[str, object]
) -> Iterator[Study]:
    workload = load_workload(request)
    for each in numbers:
        refuse_numbers(workload, {**given, **each.given})
        if len(numbers) > 1 and has_no_formats(workload, each):
            raise InputError(
                "--method",
                f"no format of {workload.network.name} is chosen, by whichever method; give one, "
                "or --calibration",
            )
        yield Study(
            network=workload.network.name,
            workload=workload,
            numbers=each,
            experiment=make_experiment(workload, each),
        )
