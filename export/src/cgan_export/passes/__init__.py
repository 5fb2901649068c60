"""Optional rewrites of a network or of its graph. Each one says what it matches.

A pass steps aside where it does not match: the plain trace serves every network.
"""
