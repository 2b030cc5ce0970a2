"""Does no verb give values on a machine that cuts bits off its partial sums?"""

import pytest

EDGE = "edge_16x16"
CUT = ("--set", "precision.psum_storage_bits=16")
CUT_SUMS = (
    "edge_16x16: precision.psum_storage_bits: partial sums of 32 bits are cut to 16 in memory, "
    "which is not simulated; {}--set precision.psum_storage_bits=32 keeps them whole"
)


@pytest.mark.parametrize(
    ("arguments", "otherwise"),
    [
        (("simulate", EDGE, *CUT), "--no-values gives costs alone, "),
        (("sweep", EDGE, *CUT[:1], "precision.psum_storage_bits=32,16", "-o", "p.csv"),
         "--no-values gives costs alone, "),
        (("compare", EDGE, EDGE, *CUT, "--json", "c.json"), "--no-values gives costs alone, "),
        (("export-vectors", EDGE, *CUT, "-o", "v"), ""),
    ],
)  # fmt: skip
def test_values_of_cut_sums_are_refused_before_anything_runs(
    refuse, monkeypatch, arguments, otherwise
):
    def quantize(*_, **__):
        raise AssertionError("ran before it was refused")

    monkeypatch.setattr("quantizer.quantize.quantize", quantize)
    assert refuse(*arguments) == CUT_SUMS.format(otherwise)


def test_costs_of_cut_sums_can_be_swept_and_nothing_be_tuned_on_them(run, outside, refuse):
    outcome = run("sweep", EDGE, *CUT[:1], "precision.psum_storage_bits=32,16", "--no-values")
    assert (outcome.status, outcome.err) == (0, "")
    given = ("net.onnx", "--calibration", "calibration.npz", "--tune", "--machine", "eyeriss_12x14")
    assert refuse("quantize", *given, "-o", "q.onnx") == (
        "--tune: is judged by values, and eyeriss_12x14 has none: its partial sums are cut in "
        "memory (precision.psum_storage_bits), which is not simulated; leave it out"
    )


def test_a_row_stationary_array_is_not_told_to_keep_sums_for_vectors_that_it_has_not(refuse):
    assert refuse("export-vectors", "eyeriss_12x14", "-o", "v") == (
        "eyeriss_12x14: no vectors are written of a row_stationary array; expected one of the "
        "other dataflows"
    )
