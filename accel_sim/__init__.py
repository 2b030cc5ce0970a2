"""What a fixed-point CNN accelerator does with a quantized network."""
