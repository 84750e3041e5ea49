"""Thin rooms at the edge: each translates data containers and configs of one framework, and registers our parts there.

Nothing is imported here, so that using one framework never needs the other one.
"""
