"""Run-length code of zeros as a string of bits, one element at a time."""


def encode(values, run_bits, level_bits):
    """Code integers of ``level_bits`` bits, in two's complement where they are negative.

    A pair is a number of zeros, at most ``2**run_bits - 1``, and the element behind these.
    """
    longest = 2**run_bits - 1
    code, zeros = [], 0
    for place, value in enumerate(values):
        is_last = place == len(values) - 1
        if value == 0 and zeros < longest and not is_last:
            zeros += 1
            continue
        code.append(format(zeros, f"0{run_bits}b"))
        code.append(format(value % 2**level_bits, f"0{level_bits}b"))
        zeros = 0
    return "".join(code)


def decode(code, count, run_bits, level_bits, is_signed):
    """Read `count` integers from a code that ends with them."""
    values, place = [], 0
    while len(values) < count:
        run = int(code[place : place + run_bits], 2)
        level = int(code[place + run_bits : place + run_bits + level_bits], 2)
        place += run_bits + level_bits
        if is_signed and level >= 2 ** (level_bits - 1):
            level -= 2**level_bits
        values += [0] * run + [level]
    if len(values) != count or place != len(code):
        raise ValueError("the code does not end with the map")
    return values
