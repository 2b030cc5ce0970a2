"""Jitted integer kernels: what a layer computes, bit by bit.

Kernels take raw integers and write into arrays that the caller made; shapes and value
ranges are checked once per layer by `accel_sim.functional`, not here. Each runs on one
image and releases the GIL.
"""
