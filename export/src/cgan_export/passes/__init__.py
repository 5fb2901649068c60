"""Optional rewrites of a network or of its graph, called passes.

The docstring of each pass says which networks it matches. A pass does not change other networks.
"""
