"""The doctor: compares what this library assumes of the API with its documents, its answers and its streams."""
