"""Data sets: pictures a second, beside the published AdaIN network as stylize-datasets runs it."""
