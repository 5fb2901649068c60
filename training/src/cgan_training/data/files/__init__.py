"""Size-limited readers of the file formats that several sources share."""
