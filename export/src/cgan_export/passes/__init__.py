"""Optional rewrites of the network (batch norm folding) or of its graph (float16 weights)."""
