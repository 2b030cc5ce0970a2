"""Fixed-point formats and the integer rules that follow from them."""
