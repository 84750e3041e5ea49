"""Thin rooms at the edge: each translates one framework's containers and configs, and registers our parts.

Nothing is imported here, so that using one framework never needs the other one.
"""
