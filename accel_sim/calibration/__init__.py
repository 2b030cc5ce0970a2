"""Fitting a machine's energy to layers that were measured on the chip."""
