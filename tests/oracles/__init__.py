"""Slow and obvious references, which import nothing from the packages under test."""
