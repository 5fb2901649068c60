"""Internal: readers of the file formats that several sources have, within bounds."""
