"""The contract of model files, their checksum, and their validation before use.

The argument `source` of these functions is the name of the file, for messages.
"""
