"""Cycles, as functions of counts and the machine."""
