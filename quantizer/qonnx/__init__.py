"""Quantized networks as QONNX files: float graphs with Quant nodes in them."""
