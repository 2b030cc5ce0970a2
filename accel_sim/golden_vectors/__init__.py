"""Golden vectors: operands, sums and cycles of array tiles, to hold hardware against."""
