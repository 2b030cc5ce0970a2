"""Float networks: their graph, their ONNX import, their images and their execution."""
