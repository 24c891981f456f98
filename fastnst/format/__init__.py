"""What a model is on the disk: ``.fnst`` files, written here and read by the engine, and what other files of weights are."""
