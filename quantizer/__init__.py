"""What numbers and networks mean: formats, networks, and how formats are chosen."""
