"""Optional rewrites of a network or of its graph, called passes.

The docstring of each pass says what it matches. It returns any other network unchanged.
"""
