"""Is what is printed what was meant?"""

from rich.text import Text

from accel_sim.cli.console import show, show_error
from accel_sim.report.layer_table import make_table


def test_names_that_look_like_markup_are_printed_as_they_are(capsys):
    table = make_table("layer", "op")
    table.add_row("conv[bold]1[/bold]", ":smile:")
    show(table, "file [red].json")
    assert capsys.readouterr().out == (
        "layer                   op\nconv[bold]1[/bold] :smile:\nfile [red].json\n"
    )


def test_names_that_move_the_cursor_are_spelled_out(capsys):
    table = make_table("layer", "op")
    table.add_row("conv\x1b[2J", "a\u202eb")
    show(table, "file\r\n.json", Text("net\x1b[31m", style="bold"))
    assert capsys.readouterr().out == (
        "layer   op\nconv\\x1b[2J a\\u202eb\nfile\\r\\n.json\nnet\\x1b[31m\n"
    )


def test_a_long_line_to_paste_is_not_broken(capsys):
    command = "accel-sim simulate " + "x" * 200
    show(command)
    assert capsys.readouterr().out == command + "\n"


def test_an_error_is_one_line_whatever_it_holds(capsys):
    show_error("a\nb.onnx: cannot be read")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a\\nb.onnx: cannot be read\n")
