"""Regions of rows over columns: bins to count in, searches over them, and the way back to cuts on raw values."""
