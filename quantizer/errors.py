"""The one kind of error that is the user's to mend."""


class InputError(Exception):
    """Something the user gave is wrong: a file, a key, a node, an option.

    Printed as one line, ``where: problem``, with exit status 2. Anything else that
    is raised is a bug of this project and keeps its traceback.

    Parameters
    ----------
    where
        The place, as the user knows it: ``hw.yaml:7``, ``net.onnx: node 'conv1'``.
    problem
        What is wrong, then what would be right, separated by a semicolon.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        """Rebuild from both arguments, so that the error survives a process boundary."""
        return InputError, (self.where, self.problem)


def nearest(name: str, known: list[str]) -> str:
    """Suggest the known name closest to `name`: ``"; did you mean 'rows'?"``, or nothing."""
    import difflib

    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""
