"""Drop-in operations."""
