"""Pictures that are larger than memory."""
