"""One picture, beside other runtimes."""
